/** Models of full size as picked files: nothing is on disk, bytes are computed where they are read. */
import { type SyntheticFile, type SyntheticName, syntheticModel, syntheticShapes } from '../synthetic-model.ts';

class SyntheticBlob extends Blob {
  readonly name: string;

  constructor(private readonly file: SyntheticFile) {
    super([]);
    this.name = file.fileName;
  }

  override get size(): number {
    return this.file.size;
  }

  override slice(start = 0, end = this.size): Blob {
    return new Blob([this.file.read(start, Math.min(end, this.size))]);
  }
}

/** @param smaller fewer layers or words than the model has */
export function syntheticBlobs(name: SyntheticName, smaller: { layers?: number; vocabulary?: number } = {}): Blob[] {
  const shape = { ...syntheticShapes[name], ...smaller };
  return syntheticModel(shape).map((file) => new SyntheticBlob(file));
}

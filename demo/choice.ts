/** What a reader chose to load: a model, and the vision tower that goes with it. */
import type { ModelInput } from '../src/index.ts';
import { isTower } from '../src/weights/tower-name.ts';

export interface Choice {
  /** Undefined: the one that is loaded already. */
  readonly model?: ModelInput;
  readonly tower?: ModelInput;
}

/** Shards in the order of their names, however they were picked; a tower among them is known by its name. */
export function fromFiles<Picked extends File | FileSystemFileHandle>(files: readonly Picked[]): Choice {
  const model = files.filter(({ name }) => !isTower(name)).sort((a, b) => a.name.localeCompare(b.name));
  const tower = files.filter(({ name }) => isTower(name));
  return { model: (model.length > 1 ? model : model[0]) as ModelInput | undefined, tower: tower[0] };
}

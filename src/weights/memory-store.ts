/**
 * The store that keeps nothing after the page: recent chunks in memory, so that neighbouring tensors in one chunk cost
 * one request. Behind it, `store: 'none'` runs through the same code as a real store.
 */
import { type ChunkFile, type ChunkStore, chunkBytesFor, type FileVersion, type StoredFile } from './store.ts';

/** Chunks are smaller than a stored one's: a lone read of one expert should fetch little beside it. */
const LARGEST_MEMORY_CHUNK_BYTES = 1024 * 1024;
const RECENT_BYTES = 32 * 1024 * 1024;

export class MemoryStore implements ChunkStore {
  readonly kind = 'none';

  async find(): Promise<undefined> {
    return undefined;
  }

  async open(version: FileVersion): Promise<MemoryFile> {
    return new MemoryFile(version);
  }

  async checkRoom(): Promise<void> {}

  async list(): Promise<StoredFile[]> {
    return [];
  }

  async inspect(): Promise<undefined> {
    return undefined;
  }

  async delete(): Promise<void> {}

  close(): void {}
}

export class MemoryFile implements ChunkFile {
  readonly chunkBytes: number;
  /** In order of arrival: the first is dropped first. */
  private readonly chunks = new Map<number, Blob>();
  private readonly numbers = new Set<number>();
  private keepAll = false;

  constructor(readonly version: FileVersion) {
    this.chunkBytes = chunkBytesFor(version.size, LARGEST_MEMORY_CHUNK_BYTES);
  }

  get present(): ReadonlySet<number> {
    return this.numbers;
  }

  /** For a server without ranges, whose file comes once and whole. Browsers move large Blobs out of memory. */
  keepEverything(): void {
    this.keepAll = true;
  }

  async read(index: number, from: number, to: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const chunk = this.chunks.get(index);
    return chunk && new Uint8Array(await chunk.slice(from, to).arrayBuffer());
  }

  async put(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.chunks.set(index, new Blob([bytes]));
    this.numbers.add(index);
    while (!this.keepAll && this.chunks.size * this.chunkBytes > RECENT_BYTES) {
      const [oldest] = this.chunks.keys();
      this.chunks.delete(oldest);
      this.numbers.delete(oldest);
    }
  }
}

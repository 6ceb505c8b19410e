/** A file as bytes at offsets, wherever it lies. */
import { QwenError, throwIfAborted } from '../errors.ts';
import type { ReadPriority } from './types.ts';

export interface ByteSource {
  /** URL or name, for messages and `TensorInfo.file`. */
  readonly file: string;
  readonly size: number;
  /** At least the first `bytes` bytes of the file (`bytes <= size`), fetched without rounding up to whole chunks. */
  prefix(bytes: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
  /** Bytes `[start, end)`, inside the file. The caller owns the array. */
  read(start: number, end: number, signal?: AbortSignal, priority?: ReadPriority): Promise<Uint8Array<ArrayBuffer>>;
  /** Whether bytes `[start, end)` can be had without the network. */
  isLocal(start: number, end: number): boolean;
  /** Bytes that are not on this device yet. */
  readonly missingBytes: number;
  /** Fetches those, in the background. */
  download(signal?: AbortSignal): Promise<void>;
  /** Where the header's bytes end and the tensors' begin; before that, reads count for nothing. */
  headerEndsAt(dataStart: number): void;
  /** Tensor bytes handed out so far that came over the network, and from a store or a local file. */
  readonly networkBytes: number;
  readonly storeBytes: number;
  close(): void;
}

/** A picked `File` or any `Blob`. It is local already, so nothing of it is copied to the store. */
export class BlobSource implements ByteSource {
  readonly file: string;
  readonly networkBytes = 0;
  readonly missingBytes = 0;
  storeBytes = 0;

  constructor(
    private readonly blob: Blob,
    name?: string,
  ) {
    this.file = name ?? ('name' in blob && typeof blob.name === 'string' ? blob.name : 'blob');
  }

  get size(): number {
    return this.blob.size;
  }

  prefix(bytes: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return this.slice(0, bytes, signal);
  }

  async read(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.slice(start, end, signal);
    this.storeBytes += bytes.length;
    return bytes;
  }

  isLocal(): boolean {
    return true;
  }

  async download(): Promise<void> {}

  headerEndsAt(): void {}

  close(): void {}

  private async slice(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    throwIfAborted(signal);
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = new Uint8Array(await this.blob.slice(start, end).arrayBuffer());
    } catch (cause) {
      // Browsers take a snapshot of a picked file's date and size, and refuse to read once the file differs.
      throw new QwenError(
        'file-changed',
        `${this.file} can no longer be read: it was changed, moved or deleted since it was picked. Pick it again.`,
        { file: this.file, cause },
      );
    }
    throwIfAborted(signal);
    if (bytes.length !== end - start) {
      throw new QwenError('truncated', `${this.file} ended at byte ${start + bytes.length}. Pick the file again.`, {
        file: this.file,
      });
    }
    return bytes;
  }
}

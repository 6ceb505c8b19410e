/**
 * Files of the origin private file system, read and written in a worker of their own: its access handles are synchronous
 * and exist in workers only, and the engine's own should not wait for a disk.
 */
import { expose, transfer } from 'comlink';
import { sha256 } from './store.ts';

/** Name of the worker that runs `serveOpfsFiles`; the script is the engine's worker's. */
export const STORAGE_WORKER = 'qwen-webgpu storage';
export const OPFS_FOLDER = 'qwen-webgpu';
/** Beside a file of chunks: their SHA-256, in the same order. */
export const HASHES = '.sha256';
export const HASH_BYTES = 32;
/** Tells every tab to let go of a file that is about to be deleted: its name. */
export const RELEASE_CHANNEL = 'qwen-webgpu release';

/** `FileSystemSyncAccessHandle`, which TypeScript's DOM types leave to workers. */
interface AccessHandle {
  read(into: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  write(bytes: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  flush(): void;
  close(): void;
}

interface OpenFile {
  readonly chunks: AccessHandle;
  readonly hashes: AccessHandle;
}

export class OpfsFiles {
  readonly #open = new Map<string, OpenFile>();

  constructor() {
    new BroadcastChannel(RELEASE_CHANNEL).addEventListener('message', ({ data }) => this.close(String(data)));
  }

  /** Makes the file if there is none. @throws DOMException `NoModificationAllowedError` while another tab has it open */
  async open(name: string): Promise<void> {
    if (this.#open.has(name)) return;
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle(OPFS_FOLDER, { create: true });
    const chunks = await accessHandle(folder, name);
    try {
      this.#open.set(name, { chunks, hashes: await accessHandle(folder, name + HASHES) });
    } catch (error) {
      chunks.close();
      throw error;
    }
  }

  /** Undefined if the file was closed, or ends before. */
  read(name: string, at: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    const file = this.#open.get(name);
    if (!file) return undefined;
    const bytes = new Uint8Array(length);
    return file.chunks.read(bytes, { at }) === length ? transfer(bytes, [bytes.buffer]) : undefined;
  }

  /**
   * Writes a chunk, and its hash. False if the file was closed.
   * @param place of the chunk in the file, counted in chunks
   * @throws DOMException `QuotaExceededError`
   */
  async write(name: string, place: number, chunkBytes: number, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const hash = (await sha256(bytes)) ?? new Uint8Array(HASH_BYTES);
    const file = this.#open.get(name);
    if (!file) return false;
    const whole =
      file.chunks.write(bytes, { at: place * chunkBytes }) === bytes.length &&
      file.hashes.write(hash, { at: place * HASH_BYTES }) === HASH_BYTES;
    if (whole) return true;
    throw new DOMException('The disk took a part of the bytes only.', 'QuotaExceededError');
  }

  flush(name: string): void {
    const file = this.#open.get(name);
    file?.chunks.flush();
    file?.hashes.flush();
  }

  close(name: string): void {
    const file = this.#open.get(name);
    file?.chunks.close();
    file?.hashes.close();
    this.#open.delete(name);
  }
}

async function accessHandle(folder: FileSystemDirectoryHandle, name: string): Promise<AccessHandle> {
  const file = await folder.getFileHandle(name, { create: true });
  return (file as unknown as { createSyncAccessHandle(): Promise<AccessHandle> }).createSyncAccessHandle();
}

/** To be called in a worker named `STORAGE_WORKER`. */
export function serveOpfsFiles(): void {
  expose(new OpfsFiles());
}

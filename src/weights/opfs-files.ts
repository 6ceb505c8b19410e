/**
 * Files of the origin private file system, read and written in a worker of their own: its access handles are synchronous
 * and exist in workers only, and the engine's own should not wait for a disk.
 */
import { expose, transfer } from 'comlink';

/** Name of the worker that runs `serveOpfsFiles`; the script is the engine's worker's. */
export const STORAGE_WORKER = 'qwen-webgpu storage';
export const OPFS_FOLDER = 'qwen-webgpu';
/** Tells every tab to let go of a file that is about to be deleted: its name. */
export const RELEASE_CHANNEL = 'qwen-webgpu release';

/** `FileSystemSyncAccessHandle`, which TypeScript's DOM types leave to workers. */
interface AccessHandle {
  read(into: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  write(bytes: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  flush(): void;
  close(): void;
}

export class OpfsFiles {
  readonly #open = new Map<string, AccessHandle>();

  constructor() {
    new BroadcastChannel(RELEASE_CHANNEL).addEventListener('message', ({ data }) => this.close(String(data)));
  }

  /** Makes the file if there is none. @throws DOMException `NoModificationAllowedError` while another tab has it open */
  async open(name: string): Promise<void> {
    if (this.#open.has(name)) return;
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle(OPFS_FOLDER, { create: true });
    const file = await folder.getFileHandle(name, { create: true });
    const handle = await (
      file as unknown as { createSyncAccessHandle(): Promise<AccessHandle> }
    ).createSyncAccessHandle();
    this.#open.set(name, handle);
  }

  /** Undefined if the file was closed, or ends before. */
  read(name: string, at: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    const handle = this.#open.get(name);
    if (!handle) return undefined;
    const bytes = new Uint8Array(length);
    return handle.read(bytes, { at }) === length ? transfer(bytes, [bytes.buffer]) : undefined;
  }

  /** False if the file was closed. @throws DOMException `QuotaExceededError` */
  write(name: string, at: number, bytes: Uint8Array<ArrayBuffer>): boolean {
    const handle = this.#open.get(name);
    if (!handle) return false;
    if (handle.write(bytes, { at }) === bytes.length) return true;
    throw new DOMException('The disk took a part of the bytes only.', 'QuotaExceededError');
  }

  flush(name: string): void {
    this.#open.get(name)?.flush();
  }

  close(name: string): void {
    this.#open.get(name)?.close();
    this.#open.delete(name);
  }
}

/** To be called in a worker named `STORAGE_WORKER`. */
export function serveOpfsFiles(): void {
  expose(new OpfsFiles());
}

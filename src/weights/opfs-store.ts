/**
 * Chunks in files of the origin private file system, one for each version of a model's file; manifests in IndexedDB,
 * through idb-keyval.
 *
 * Chunks lie in the order in which they came: a file is never longer than what it holds, so an expert that is fetched out
 * of turn neither leaves a hole that some file systems fill with zeros, nor costs quota for one. The manifest says which
 * chunk is where. It is written after the bytes were flushed: what it lists is on the disk. The chunks' hashes lie in a small
 * file beside theirs, in the same order.
 */
import { type Remote, transfer, wrap } from 'comlink';
import { createStore, del, entries, get, set, type UseStore, update } from 'idb-keyval';
import { messageOf, QwenError } from '../errors.ts';
import { HASH_BYTES, HASHES, OPFS_FOLDER, type OpfsFiles, RELEASE_CHANNEL } from './opfs-files.ts';
import { freeBytes, isQuotaError, quotaExceeded, requestPersistence, storeWork } from './quota.ts';
import {
  bytesOfChunks,
  type ChunkFile,
  type ChunkStore,
  chunkBytesFor,
  chunkLength,
  type FileVersion,
  type StoredChunks,
  type StoredFile,
  sameBytes,
  sha256,
  versionKey,
} from './store.ts';

const MANIFEST_DATABASE = 'qwen-webgpu-opfs';
const MANIFESTS = 'files';
/** Bytes after which they are flushed and listed, so that a crash costs no more than these. */
const BYTES_A_FLUSH = 64 * 1024 * 1024;
const FLUSH_DELAY_MS = 500;

/** Kept under the file's URL. */
interface Manifest extends FileVersion {
  chunkBytes: number;
  lastUsed: number;
  /** Of the file in OPFS; another one after a deletion. */
  name: string;
  /** Chunk numbers in the file's order; `NONE` where a chunk was dropped. */
  chunks: Uint32Array<ArrayBuffer>;
}

const NONE = 0xffff_ffff;
/** Tells every tab that a chunk was found damaged: `Dropped`. */
const DROP_CHANNEL = 'qwen-webgpu drop';

interface Dropped {
  /** Of the file in OPFS. */
  readonly name: string;
  readonly index: number;
}

let startStorageWorker: (() => Worker) | undefined;

/** Says how the storage worker is started: only its script knows its own address. */
export function provideStorageWorker(start: () => Worker): void {
  startStorageWorker = start;
}

/** Files that an earlier store of this thread still closes. */
const closing = new Set<Promise<unknown>>();

export class OpfsStore implements ChunkStore {
  readonly kind = 'opfs';
  readonly #manifests: UseStore;
  readonly #open = new Set<OpfsChunks>();
  #worker: Worker | undefined;
  #files: Remote<OpfsFiles> | undefined;
  #drops: BroadcastChannel | undefined;

  /** @throws QwenError `store-unavailable` where the browser has no OPFS */
  constructor() {
    if (typeof indexedDB === 'undefined') throw unavailable(new ReferenceError('indexedDB is not defined'));
    if (typeof navigator === 'undefined' || !navigator.storage?.getDirectory) {
      throw unavailable(new ReferenceError('navigator.storage.getDirectory is not defined'));
    }
    this.#manifests = createStore(MANIFEST_DATABASE, MANIFESTS);
  }

  async find(url: string): Promise<ChunkFile | undefined> {
    await Promise.all(closing);
    const manifest = await available(get<Manifest>(url, this.#manifests));
    return manifest && this.#openFile(manifest);
  }

  async open(version: FileVersion, largestChunkBytes?: number): Promise<ChunkFile> {
    void requestPersistence();
    const known = await available(get<Manifest>(version.url, this.#manifests));
    if (known && versionKey(known) === versionKey(version)) return this.#openFile(known);
    if (known) await this.delete(version.url);
    return this.#openFile({
      ...version,
      chunkBytes: chunkBytesFor(version.size, largestChunkBytes),
      lastUsed: 0,
      name: crypto.randomUUID(),
      chunks: new Uint32Array(),
    });
  }

  async checkRoom(bytes: number, file: string): Promise<void> {
    const free = await freeBytes();
    if (free !== undefined && bytes > free) throw quotaExceeded(file, bytes, free);
  }

  async list(): Promise<StoredFile[]> {
    await Promise.all([...closing, ...[...this.#open].map((file) => file.persist())]);
    const manifests = await available(entries<string, Manifest>(this.#manifests));
    return manifests.map(([, { chunkBytes, chunks, name: _, ...version }]) => ({
      ...version,
      store: this.kind,
      storedBytes: bytesOfChunks(numbersIn(chunks), chunkBytes, version.size),
    }));
  }

  async inspect(url: string): Promise<StoredChunks | undefined> {
    await Promise.all([...closing, ...[...this.#open].map((file) => file.persist())]);
    const manifest = await available(get<Manifest>(url, this.#manifests));
    if (!manifest) return undefined;
    const { chunkBytes, chunks, name, lastUsed: _, ...version } = manifest;
    return {
      version,
      chunkBytes,
      chunks: numbersIn(chunks),
      isIntact: async (index) => {
        const place = chunks.indexOf(index);
        const length = chunkLength(index, chunkBytes, version.size);
        const bytes = await readShared(name, place * chunkBytes, length);
        if (!bytes) return false;
        const stored = await readShared(name + HASHES, place * HASH_BYTES, HASH_BYTES);
        const hash = stored?.some((byte) => byte !== 0) && (await sha256(bytes));
        return !hash || !stored || sameBytes(hash, stored);
      },
      drop: async (index) => {
        const without = (old: Manifest | undefined) =>
          old?.name === name ? { ...old, chunks: old.chunks.map((each) => (each === index ? NONE : each)) } : old;
        await available(update<Manifest>(url, (old) => without(old) as Manifest, this.#manifests));
        const channel = new BroadcastChannel(DROP_CHANNEL);
        channel.postMessage({ name, index } satisfies Dropped);
        channel.close();
      },
    };
  }

  async delete(url: string): Promise<void> {
    const manifest = await available(get<Manifest>(url, this.#manifests));
    await available(del(url, this.#manifests));
    if (!manifest) return;
    await Promise.all(closing);
    new BroadcastChannel(RELEASE_CHANNEL).postMessage(manifest.name);
    await removeFile(manifest.name);
  }

  close(): void {
    const worker = this.#worker;
    const done = Promise.allSettled([...this.#open].map((file) => file.close())).then(() => worker?.terminate());
    closing.add(done);
    void done.finally(() => closing.delete(done));
    this.#open.clear();
    this.#drops?.close();
    this.#drops = undefined;
    this.#worker = undefined;
    this.#files = undefined;
  }

  async #openFile(manifest: Manifest): Promise<ChunkFile> {
    this.#files ??= this.#start();
    const file = new OpfsChunks({ ...manifest, lastUsed: Date.now() }, this.#files, this.#manifests);
    await file.open();
    this.#open.add(file);
    this.#drops ??= this.#followDrops();
    return file;
  }

  #followDrops(): BroadcastChannel {
    const channel = new BroadcastChannel(DROP_CHANNEL);
    channel.addEventListener('message', ({ data }: MessageEvent<Dropped>) => {
      for (const file of this.#open) void file.forget(data).catch(() => {}); // The next look finds it again.
    });
    return channel;
  }

  #start(): Remote<OpfsFiles> {
    if (!startStorageWorker) {
      throw unavailable(new Error("it is read in a worker that only the engine's own worker can start; leave gpu out"));
    }
    this.#worker = startStorageWorker();
    return wrap<OpfsFiles>(this.#worker);
  }
}

class OpfsChunks implements ChunkFile {
  readonly version: FileVersion;
  readonly chunkBytes: number;
  /** Chunk number to place in the file, counted in chunks. */
  readonly #places = new Map<number, number>();
  readonly present: Set<number>;
  #name: string;
  /** Chunk numbers in the file's order, and places of dropped ones that can be written again. */
  #chunks: number[];
  #free: number[] = [];
  /** The manifest does not list what is here. */
  #unlisted = false;
  #unflushedBytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly manifest: Manifest,
    private readonly files: Remote<OpfsFiles>,
    private readonly manifests: UseStore,
  ) {
    const { chunkBytes, chunks, name, lastUsed: _, ...version } = manifest;
    this.version = version;
    this.chunkBytes = chunkBytes;
    this.#name = name;
    this.#chunks = [...chunks];
    chunks.forEach((index, place) => {
      if (index === NONE) this.#free.push(place);
      else this.#places.set(index, place);
    });
    this.present = new Set(numbersIn(chunks));
  }

  async open(): Promise<void> {
    await opened(this.files.open(this.#name), this.manifest.url);
    await available(set(this.manifest.url, { ...this.manifest, name: this.#name }, this.manifests));
  }

  async read(index: number, from: number, to: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const place = this.#places.get(index);
    if (place === undefined) return undefined;
    const bytes = await available(this.files.read(this.#name, place * this.chunkBytes + from, to - from));
    if (!bytes) {
      this.#places.delete(index);
      this.present.delete(index);
    }
    return bytes;
  }

  put(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    // A chunk of another length would be read back as one of the right one.
    if (bytes.length !== chunkLength(index, this.chunkBytes, this.version.size)) return Promise.resolve();
    const work = this.#writing.then(() => this.#write(index, bytes));
    this.#writing = work.catch(() => {});
    return work;
  }

  async #write(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.#places.has(index)) return;
    const place = this.#free.pop() ?? this.#chunks.length;
    try {
      // Readers share these bytes, so a copy is moved: sent as they are, they would be copied twice.
      const copy = bytes.slice();
      if (!(await this.files.write(this.#name, place, this.chunkBytes, transfer(copy, [copy.buffer])))) {
        await this.#beginAnew();
        return await this.#write(index, bytes);
      }
    } catch (error) {
      if (!isQuotaError(error)) throw unavailable(error);
      const missing = this.version.size - bytesOfChunks(this.present, this.chunkBytes, this.version.size);
      throw quotaExceeded(this.version.url, missing, await freeBytes());
    }
    this.#chunks[place] = index;
    this.#unlisted = true;
    this.#places.set(index, place);
    this.present.add(index);
    this.#unflushedBytes += bytes.length;
    clearTimeout(this.#timer);
    if (this.#unflushedBytes >= BYTES_A_FLUSH) await this.persist();
    else this.#timer = setTimeout(() => void this.persist().catch(() => {}), FLUSH_DELAY_MS);
  }

  /** The file was deleted, by this tab or another. */
  async #beginAnew(): Promise<void> {
    this.#name = crypto.randomUUID();
    this.#chunks = [];
    this.#free = [];
    this.#unlisted = false;
    this.#places.clear();
    this.present.clear();
    this.manifest.chunks = new Uint32Array();
    await this.open();
  }

  /** Flushes what was written, then lists it. */
  async persist(): Promise<void> {
    clearTimeout(this.#timer);
    if (!this.#unlisted) return;
    this.#unlisted = false;
    const chunks = Uint32Array.from(this.#chunks);
    const name = this.#name;
    this.#unflushedBytes = 0;
    await available(this.files.flush(name));
    await available(
      update<Manifest>(
        this.manifest.url,
        // Deleted meanwhile, or begun anew by another tab: then nothing here may bring it back.
        (old) => (old?.name === name ? { ...old, chunks } : old) as Manifest,
        this.manifests,
      ),
    );
  }

  /** A chunk of this file was found damaged. Its place is free once the manifest does not list it any more. */
  async forget({ name, index }: Dropped): Promise<void> {
    const place = this.#places.get(index);
    if (name !== this.#name || place === undefined) return;
    this.#places.delete(index);
    this.present.delete(index);
    this.#chunks[place] = NONE;
    this.#unlisted = true;
    await this.persist();
    if (name === this.#name) this.#free.push(place);
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.persist().finally(() => this.files.close(this.#name));
  }
}

/** A file that a tab holds open cannot be removed until that tab has heard of it. */
const REMOVALS = 40;
const REMOVAL_DELAY_MS = 50;

/** Files of earlier versions have no hashes beside them. */
async function removeFile(name: string): Promise<void> {
  for (const each of [name + HASHES, name]) await removeEntry(each);
}

async function removeEntry(name: string): Promise<void> {
  const root = await available(navigator.storage.getDirectory());
  for (let attempt = 1; ; attempt++) {
    try {
      const folder = await root.getDirectoryHandle(OPFS_FOLDER);
      await folder.removeEntry(name);
      return;
    } catch (error) {
      if (error instanceof DOMException && error.name === 'NotFoundError') return;
      if (attempt === REMOVALS) throw unavailable(error);
    }
    await new Promise((resolve) => setTimeout(resolve, REMOVAL_DELAY_MS));
  }
}

function numbersIn(chunks: Uint32Array): number[] {
  return [...chunks].filter((index) => index !== NONE);
}

/** A file that is written to meanwhile cannot be read through what was known of it before. */
const SHARED_READS = 3;

/** Reads beside whoever has the file open. Undefined if it ends before, or cannot be read. */
async function readShared(name: string, at: number, length: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const root = await available(navigator.storage.getDirectory());
  for (let attempt = 1; attempt <= SHARED_READS; attempt++) {
    try {
      const folder = await root.getDirectoryHandle(OPFS_FOLDER);
      const file = await (await folder.getFileHandle(name)).getFile();
      const bytes = new Uint8Array(await file.slice(at, at + length).arrayBuffer());
      return bytes.length === length ? bytes : undefined;
    } catch {
      // Once more, with the file as it is now.
    }
  }
  return undefined;
}

async function opened(work: Promise<void>, url: string): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof Error && error.name === 'NoModificationAllowedError')) throw unavailable(error);
    throw new QwenError(
      'store-unavailable',
      `${url} is in use: another tab, or a model that is loaded here, keeps its file for itself. Close that, or load with store: 'indexeddb' or 'none'.`,
      { file: url, cause: error },
    );
  }
}

function available<T>(work: Promise<T>): Promise<T> {
  return storeWork(work, unavailable);
}

function unavailable(cause: unknown): QwenError {
  return new QwenError(
    'store-unavailable',
    `This browser's private file system (OPFS) cannot be used (${messageOf(cause)}). Leave private browsing, allow this site to store data, or load with store: 'indexeddb' or 'none'.`,
    { cause },
  );
}

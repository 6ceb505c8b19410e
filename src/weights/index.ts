/** A model's files: from the address or the picked files to tensors whose bytes can be read. */

import { QwenError, throwIfAborted } from '../errors.ts';
import { BlobSource, type ByteSource } from './byte-source.ts';
import { readGgufHeader } from './gguf.ts';
import { absoluteUrl, type HttpOptions } from './http-file.ts';
import { IndexedDbStore } from './indexeddb-store.ts';
import { Limiter } from './limiter.ts';
import { fileOf, isHandle } from './local-files.ts';
import { MemoryStore } from './memory-store.ts';
import { OpfsStore } from './opfs-store.ts';
import { REQUESTS_IN_FLIGHT, RemoteFile, URGENT_REQUESTS_IN_FLIGHT } from './remote-file.ts';
import { assembleShards, missingShard, type Shard, shardPlace, shardUrl } from './shards.ts';
import { bytesOfChunks, type ChunkStore, chunkLength, type StoredFile } from './store.ts';
import type { ModelFile, ModelInput, OpenOptions, OpenWeights, StoreKind, TensorInfo, Weights } from './types.ts';

export { allowFiles, forgetFiles, type RememberedFiles, rememberedFiles, rememberFiles } from './local-files.ts';
export { provideStorageWorker } from './opfs-store.ts';
export { requestPersistence } from './quota.ts';
export type { ChunkStore, StoredFile } from './store.ts';
export type * from './types.ts';

/**
 * Reads the headers of a model's file or shards. Of a URL only the header is fetched here, tensors when they are read;
 * a server without ranges sends the whole file from here on.
 * @throws QwenError for whatever is wrong with the files, the server or the store; the signal's reason on abort
 */
export const openWeights: OpenWeights = (input, options) => openWeightsWith(input, options);

/** `openWeights` with other patience towards the server. */
export async function openWeightsWith(
  input: ModelInput,
  { store: kind, signal }: OpenOptions,
  http?: HttpOptions,
): Promise<Weights> {
  throwIfAborted(signal);
  const inputs: readonly ModelFile[] = Array.isArray(input) ? input : [input as ModelFile];
  if (inputs.length === 0)
    throw new QwenError('invalid-request', 'The list of model files is empty.', { param: 'model' });

  const store = inputs.some((item) => typeof item === 'string') ? createStore(kind) : new MemoryStore();
  const opener = new Opener(store, http, signal);
  try {
    const shards = assembleShards(await opener.openAll(inputs));
    const missing = opener.remotes.reduce((sum, file) => sum + file.missingBytes, 0);
    if (missing > 0) await store.checkRoom(missing, shards[0].source.file);
    throwIfAborted(signal);
    return weightsOf(shards, () => opener.close());
  } catch (error) {
    opener.close();
    throw error;
  }
}

/**
 * What is stored on this device, for a page that shows and frees it.
 * @param kind only what this store holds; default: all stores
 * @throws QwenError `store-unavailable`; without `kind`, only where no store can be used
 */
export async function listStored(kind?: StoreKind): Promise<StoredFile[]> {
  return (await withStores(kind, (store) => store.list())).flat();
}

/**
 * Deletes what is stored of the file at this URL (a shard at a time).
 * @param kind only from this store; default: from all stores
 * @throws QwenError `store-unavailable`; without `kind`, only where no store can be used
 */
export async function deleteStored(url: string, kind?: StoreKind): Promise<void> {
  await withStores(kind, (store) => store.delete(absoluteUrl(url)));
}

/** How far something is that is done to a whole file or model. */
export interface StoreProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface StoreWorkOptions {
  store?: StoreKind;
  onProgress?: (progress: StoreProgress) => void;
  signal?: AbortSignal;
}

/** Chunks looked at side by side: one is read while another is hashed. */
const CHECKS_AT_ONCE = 3;

/**
 * Reads what is stored of the file at this URL (a shard at a time) and compares it with the hashes that were written down when
 * it was stored. Models may be in use meanwhile. What is damaged is dropped, and comes again with the next load or download.
 * @param options.store only in this store; default: in all
 * @throws QwenError `store-corrupt` if something was damaged; `store-unavailable`; the signal's reason on abort
 */
export async function verifyStored(url: string, options: StoreWorkOptions = {}): Promise<void> {
  const damaged = await withStores(options.store, (store) => verifyIn(store, absoluteUrl(url), options));
  const bytes = damaged.reduce((sum, each) => sum + each, 0);
  if (bytes === 0) return;
  throw new QwenError(
    'store-corrupt',
    `${Math.ceil(bytes / 1e3)} kB of what was stored of ${url} were damaged, on the disk or on the way to it, and have been dropped. They come again when the model is loaded or downloaded.`,
    { file: url },
  );
}

/** @returns bytes that were damaged */
async function verifyIn(store: ChunkStore, url: string, { onProgress, signal }: StoreWorkOptions): Promise<number> {
  throwIfAborted(signal);
  const stored = await store.inspect(url);
  if (!stored) return 0;
  const { chunks, chunkBytes, version } = stored;
  const lengthOf = (index: number) => chunkLength(index, chunkBytes, version.size);
  const totalBytes = bytesOfChunks(chunks, chunkBytes, version.size);
  let doneBytes = 0;
  let damagedBytes = 0;
  let next = 0;
  const checkNext = async (): Promise<void> => {
    while (next < chunks.length) {
      const index = chunks[next++];
      const intact = await stored.isIntact(index);
      throwIfAborted(signal);
      if (!intact) {
        await stored.drop(index);
        damagedBytes += lengthOf(index);
      }
      doneBytes += lengthOf(index);
      onProgress?.({ doneBytes, totalBytes });
    }
  };
  await Promise.all(Array.from({ length: CHECKS_AT_ONCE }, checkNext));
  return damagedBytes;
}

/** How often a download tells how far it is. */
const PROGRESS_EVERY_MS = 200;

/**
 * Downloads what is missing of a model into the store, without loading it. Aborting pauses it: what has come stays, and the next
 * call, or a load, goes on from there.
 * @param model URL of its file or of any shard, or of all shards
 * @throws QwenError for whatever is wrong with the files, the server or the store; the signal's reason on abort
 */
export async function downloadModel(
  model: string | readonly string[],
  { store = 'indexeddb', onProgress, signal }: StoreWorkOptions = {},
): Promise<void> {
  const weights = await openWeights(model, { store, signal });
  const totalBytes = weights.byteLength;
  const report = () => onProgress?.({ doneBytes: totalBytes - weights.missingBytes, totalBytes });
  const timer = setInterval(report, PROGRESS_EVERY_MS);
  try {
    await weights.download(signal);
    report();
  } finally {
    clearInterval(timer);
    weights.close();
  }
}

/** A browser without one of the stores has nothing in it, so that it is not missed as long as there is another. */
async function withStores<T>(kind: StoreKind | undefined, work: (store: ChunkStore) => Promise<T>): Promise<T[]> {
  if (kind) return [await withStore(kind, work)];
  const done = await Promise.allSettled([withStore('indexeddb', work), withStore('opfs', work)]);
  const failed = done.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
  const serious = failed.find(({ reason }) => !(reason instanceof QwenError && reason.code === 'store-unavailable'));
  if (serious || failed.length === done.length) throw (serious ?? failed[0]).reason;
  return done.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

async function withStore<T>(kind: StoreKind, work: (store: ChunkStore) => Promise<T>): Promise<T> {
  const store = createStore(kind);
  try {
    return await work(store);
  } finally {
    store.close();
  }
}

function createStore(kind: StoreKind): ChunkStore {
  if (kind === 'indexeddb') return new IndexedDbStore();
  if (kind === 'opfs') return new OpfsStore();
  if (kind === 'none') return new MemoryStore();
  throw new QwenError('invalid-request', `store is ${JSON.stringify(kind)}; it can be 'indexeddb', 'opfs' or 'none'.`, {
    param: 'store',
  });
}

/** Opens files one by one or side by side, and closes them all. */
class Opener {
  readonly remotes: RemoteFile[] = [];
  private readonly network = new Limiter(REQUESTS_IN_FLIGHT, URGENT_REQUESTS_IN_FLIGHT);
  private readonly turns = new Limiter(REQUESTS_IN_FLIGHT);
  private readonly cancel = new AbortController();
  private readonly signal: AbortSignal;

  constructor(
    private readonly store: ChunkStore,
    private readonly http: HttpOptions | undefined,
    signal: AbortSignal | undefined,
  ) {
    this.signal = signal ? AbortSignal.any([signal, this.cancel.signal]) : this.cancel.signal;
  }

  /** All that was given; the siblings of a lone shard at a URL as well. */
  async openAll(inputs: readonly ModelFile[]): Promise<Shard[]> {
    if (inputs.length > 1) return Promise.all(inputs.map((input) => this.open(input, inputs.length)));
    const [input] = inputs;
    if (typeof input !== 'string') return [await this.open(input)];

    const given = await this.open(input);
    const { count, index } = shardPlace(given);
    const { file } = given.source;
    const numbers = Array.from({ length: count }, (_, number) => number);
    return Promise.all(
      numbers.map(async (number) => {
        if (number === index) return given;
        const url = shardUrl(file, number + 1);
        if (url === undefined) {
          throw new QwenError(
            'missing-shard',
            `${file} is shard ${index + 1} of ${count}, but its name does not end in -0000N-of-0000M.gguf, so the others cannot be found. Give the URLs of all shards.`,
            { file },
          );
        }
        try {
          return await this.open(url);
        } catch (error) {
          if (error instanceof QwenError && error.code === 'not-found') throw missingShard(file, number, count, error);
          throw error;
        }
      }),
    );
  }

  close(): void {
    this.cancel.abort(new QwenError('disposed', 'The model was closed.'));
    for (const file of this.remotes) file.close();
    this.store.close();
  }

  private open(input: ModelFile, files = 1): Promise<Shard> {
    return this.turns.run(() => this.openNow(input, files), { signal: this.signal });
  }

  private async openNow(input: ModelFile, files: number): Promise<Shard> {
    const source =
      typeof input === 'string'
        ? await this.openRemote(input)
        : new BlobSource(isHandle(input) ? await fileOf(input, files) : input);
    const header = await readGgufHeader(source, this.signal);
    source.headerEndsAt(header.dataStart);
    return { source, header };
  }

  private async openRemote(url: string): Promise<RemoteFile> {
    const file = await RemoteFile.open(url, this.store, this.network, this.http, this.signal);
    this.remotes.push(file);
    // Another shard may have failed meanwhile, and closed what was open then.
    if (this.cancel.signal.aborted) file.close();
    return file;
  }
}

function weightsOf(shards: readonly Shard[], close: () => void): Weights {
  const sum = (of: (source: ByteSource) => number) => shards.reduce((total, { source }) => total + of(source), 0);
  const tensors = new Map<string, TensorInfo>();
  for (const { source, header } of shards) {
    for (const { name, type, shape, fileOffset, byteLength } of header.tensors) {
      tensors.set(name, {
        name,
        type,
        shape,
        byteLength,
        file: source.file,
        read: async (start, length, signal, priority) => {
          checkRange(name, start, length, byteLength);
          return source.read(fileOffset + start, fileOffset + start + length, signal, priority);
        },
        isLocal: (start, length) => {
          checkRange(name, start, length, byteLength);
          return source.isLocal(fileOffset + start, fileOffset + start + length);
        },
      });
    }
  }
  return {
    name: baseName(shards[0].source.file),
    metadata: shards[0].header.metadata,
    tensors,
    byteLength: sum((source) => source.size),
    get networkBytes() {
      return sum((source) => source.networkBytes);
    },
    get storeBytes() {
      return sum((source) => source.storeBytes);
    },
    get missingBytes() {
      return sum((source) => source.missingBytes);
    },
    download: async (signal) => {
      // One shard after another: what lies at the front of the model is complete first.
      for (const { source } of shards) await source.download(signal);
    },
    close,
  };
}

function checkRange(name: string, start: number, length: number, byteLength: number): void {
  if (start >= 0 && length >= 0 && start + length <= byteLength) return;
  throw new RangeError(`Bytes ${start} to ${start + length} of ${name}, which has ${byteLength}.`);
}

function baseName(file: string): string {
  const path = file.replace(/[?#].*$/, '');
  const name = path.slice(path.lastIndexOf('/') + 1).replace(/\.gguf$/i, '');
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // A picked file may have a percent sign in its name.
  }
}

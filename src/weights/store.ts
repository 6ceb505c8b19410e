/**
 * Where downloaded bytes are kept: chunks of files, each under its URL and version, so that nothing is fetched twice.
 *
 * Parts of a chunk can be read: an expert's bytes begin and end anywhere.
 */
import type { StoreKind } from './types.ts';

/** One version of the file at a URL. */
export interface FileVersion {
  /** Without fragment. */
  readonly url: string;
  readonly size: number;
  /** The server's, without `W/`. Absent where CORS hides it. */
  readonly etag?: string;
  readonly lastModified?: string;
}

/** A file of which the store holds something. */
export interface StoredFile extends FileVersion {
  /** Which store holds it. */
  readonly store: StoreKind;
  /** Bytes present; equal to `size` when complete. */
  readonly storedBytes: number;
  /** Milliseconds since 1970. */
  readonly lastUsed: number;
}

/** The chunks of one version of a file. All have `chunkBytes` bytes but the last. */
export interface ChunkFile {
  readonly version: FileVersion;
  readonly chunkBytes: number;
  /** Numbers of the chunks that are present, kept up to date by `put` and `read`. */
  readonly present: ReadonlySet<number>;
  /** Bytes `[from, to)` of the chunk, or undefined if it is gone (evicted, or deleted from another tab). */
  read(index: number, from: number, to: number): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Resolves when the chunk is stored. Storing the same chunk again, also from another tab, does no harm. */
  put(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

/** What is stored of a file, to be looked through while whoever uses the file goes on with it. */
export interface StoredChunks {
  readonly version: FileVersion;
  readonly chunkBytes: number;
  /** Numbers of the chunks. */
  readonly chunks: readonly number[];
  /**
   * Whether a chunk's bytes have the SHA-256 that was written down when they were stored. Where there is none (stored before
   * such were kept, or on a page that is not secure and cannot compute them), whether its length is right.
   */
  isIntact(index: number): Promise<boolean>;
  /** Forgets a chunk: it comes again when it is wanted. */
  drop(index: number): Promise<void>;
}

export interface ChunkStore {
  readonly kind: StoreKind;
  /** What is stored of the file at this URL, in whichever version. */
  find(url: string): Promise<ChunkFile | undefined>;
  /**
   * Opens this version for reading and writing; chunks of other versions of the same URL are dropped.
   * @param largestChunkBytes of a file that is not stored yet; default `LARGEST_CHUNK_BYTES`
   */
  open(version: FileVersion, largestChunkBytes?: number): Promise<ChunkFile>;
  /** @throws QwenError `quota-exceeded` if it is clear already that `bytes` more bytes will not fit. */
  checkRoom(bytes: number, file: string): Promise<void>;
  list(): Promise<StoredFile[]>;
  /** What is stored of the file at this URL, without opening it. */
  inspect(url: string): Promise<StoredChunks | undefined>;
  delete(url: string): Promise<void>;
  close(): void;
}

/** Size of a stored chunk of a large file: about what IndexedDB reads and writes fastest. */
export const LARGEST_CHUNK_BYTES = 8 * 1024 * 1024;
/**
 * For files with experts. One projection of a 397B expert at Q4_K is 2.4 MB: chunks of 8 MiB would make it fetch four times
 * what it needs, chunks of 2 MiB 1.9 times. IndexedDB writes both alike, and reads parts of them alike.
 */
export const EXPERT_CHUNK_BYTES = 2 * 1024 * 1024;
const SMALLEST_CHUNK_BYTES = 64 * 1024;
const CHUNKS_OF_A_SMALL_FILE = 64;

/**
 * Chunk size for a file: 8 MiB from half a gigabyte on. Smaller files get smaller chunks, because a download that is
 * interrupted resumes at the last whole chunk. Requests span many chunks, so their number does not depend on this.
 */
export function chunkBytesFor(size: number, largest = LARGEST_CHUNK_BYTES): number {
  let bytes = SMALLEST_CHUNK_BYTES;
  while (bytes < largest && bytes * CHUNKS_OF_A_SMALL_FILE < size) bytes *= 2;
  return bytes;
}

/** Bytes of chunk `index` of a file: `chunkBytes`, or what is left for the last. */
export function chunkLength(index: number, chunkBytes: number, size: number): number {
  return Math.min(chunkBytes, size - index * chunkBytes);
}

/** Identifies a version of a file, whatever its URL. Last-Modified stands in for an ETag that CORS hides. */
export function versionKey({ size, etag, lastModified }: FileVersion): string {
  return `${size} ${etag ?? lastModified ?? ''}`;
}

/** Undefined where the browser does not compute it: on pages that are not secure. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const hash = await globalThis.crypto?.subtle?.digest('SHA-256', bytes);
  return hash && new Uint8Array(hash);
}

export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}

/** Bytes that these chunks make up. */
export function bytesOfChunks(chunks: Iterable<number>, chunkBytes: number, size: number): number {
  let bytes = 0;
  for (const index of chunks) bytes += chunkLength(index, chunkBytes, size);
  return bytes;
}

/**
 * The header of a GGUF file: metadata and the table of tensors. Versions 2 and 3, little-endian.
 *
 * One pass over the bytes, reading more of the file only when the pass reaches the end of what is there. A header is
 * hostile input: every count, length, offset and product is held against what the file has left before it is used.
 *
 * Layout (all little-endian): magic `GGUF`, u32 version, u64 tensors, u64 metadata entries; per entry a string key, a
 * u32 type and the value; per tensor a string name, u32 dimensions, u64 sizes (innermost first), u32 type, u64 offset
 * from the start of the data, which is the header's end rounded up to `general.alignment`.
 * Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { QwenError, type QwenErrorCode } from '../errors.ts';
import type { ByteSource } from './byte-source.ts';
import { nameOfTypeId, quantTypes, tensorTypeOfId, tensorTypes } from './quant-types.ts';
import { TextBatch } from './text-batch.ts';
import type { GgufArray, GgufMetadata, GgufValue, TensorType } from './types.ts';

export interface GgufTensor {
  readonly name: string;
  readonly type: TensorType;
  /** `[out, in]` or `[experts, out, in]`. */
  readonly shape: readonly number[];
  /** Of the first byte, from the start of the file. */
  readonly fileOffset: number;
  readonly byteLength: number;
}

export interface GgufHeader {
  readonly version: 2 | 3;
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensor[];
  /** Where the tensors' bytes begin. */
  readonly dataStart: number;
}

/**
 * Reads and checks the header.
 * @throws QwenError `not-a-gguf`, `unsupported-gguf`, `corrupt-gguf`, `truncated`, or what the source throws.
 */
export async function readGgufHeader(source: ByteSource, signal?: AbortSignal): Promise<GgufHeader> {
  const cursor = new Cursor(source, signal);
  const version = await readMagicAndVersion(cursor);
  await cursor.need(16);
  const tensorCount = cursor.count('tensors', MIN_TENSOR_BYTES);
  const entryCount = cursor.count('metadata entries', MIN_ENTRY_BYTES);

  if (Math.max(tensorCount, entryCount) > MOST_ENTRIES) {
    throw cursor.corrupt(`it announces ${tensorCount} tensors and ${entryCount} metadata entries`);
  }

  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < entryCount; i++) {
    const key = await cursor.name('metadata key');
    if (metadata.has(key)) throw cursor.corrupt(`the metadata key ${quote(key)} appears twice`);
    await cursor.need(4);
    metadata.set(key, await readValue(cursor, cursor.u32(), key));
  }

  const entries: TensorEntry[] = [];
  for (let i = 0; i < tensorCount; i++) entries.push(await readTensorEntry(cursor));

  const alignment = readAlignment(cursor, metadata);
  const dataStart = roundUp(cursor.position, alignment);
  const tensors = placeTensors(cursor, entries, dataStart, alignment);
  return { version, metadata, tensors, dataStart };
}

/** First range asked for; then four times as much each time, so that a header of 11 MB takes four requests. */
export const FIRST_READ_BYTES = 256 * 1024;
const READ_GROWTH = 4;

/** An entry has at least a key's length, a type and one byte; a tensor a name's length, one dimension, type, offset. */
const MIN_ENTRY_BYTES = 8 + 4 + 1;
const MIN_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8;
/** The format's own limit for keys; tensor names are shorter still. */
const MAX_NAME_BYTES = 65535;
const MAX_DIMENSIONS = 4;
const MAX_ARRAY_DEPTH = 8;
/** Far beyond any model (the largest have some thousands of tensors and a header of some 20 MB), and still harmless. */
const MOST_ENTRIES = 2 ** 20;
const MAX_HEADER_BYTES = 2 ** 29;
/** Beyond this a length that exceeds the file is called damage, below it a file cut short. */
const PLAUSIBLE_LENGTH = 2 ** 28;

async function readMagicAndVersion(cursor: Cursor): Promise<2 | 3> {
  const { file } = cursor.source;
  if (cursor.source.size === 0) throw new QwenError('truncated', `${file} is empty. Download it again.`, { file });
  await cursor.need(Math.min(24, cursor.source.size));
  const start = cursor.peekText(24);
  if (!start.startsWith('GGUF')) throw new QwenError('not-a-gguf', `${file} ${notAGguf(start)}`, { file });
  await cursor.need(8);
  cursor.skip(4);
  const version = cursor.u32();
  if (version === 2 || version === 3) return version;
  throw new QwenError(
    'unsupported-gguf',
    version === 0x02000000 || version === 0x03000000
      ? `${file} is a big-endian GGUF. Use the little-endian file of this model.`
      : `${file} is GGUF version ${version}; this package reads versions 2 and 3. Convert the model again with a current llama.cpp.`,
    { file },
  );
}

/** What a file is instead of a GGUF, by its first characters, with the remedy. */
export function notAGguf(start: string): string {
  if (start.trimStart().startsWith('<')) {
    return 'is a web page (HTML or XML), not a GGUF model. Use the link of the file itself (on Hugging Face: /resolve/, not /blob/).';
  }
  if (start.startsWith('version https://git-lfs')) {
    return 'is a Git LFS pointer, not the model itself. Fetch the file with `git lfs pull`, or use the link that serves its content.';
  }
  if (start.startsWith('{')) return 'is JSON, not a GGUF model. Use the link of the .gguf file itself.';
  if (start.slice(8).startsWith('{')) return 'looks like safetensors, not GGUF. Use the .gguf files of this model.';
  if (/^(lmgg|tjgg|algg|fmgg)/.test(start))
    return 'is a GGML file from before GGUF. Use a current .gguf of this model.';
  return 'does not begin with the letters GGUF: it is no GGUF model, or a damaged one. Check the link, or download it again.';
}

// Metadata

const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

/** Number types: how one is read, and what an array of them becomes. 64-bit arrays stay 64-bit; see `GgufArray`. */
const numberTypes: Readonly<Record<number, NumberType>> = {
  0: { bytes: 1, array: Uint8Array, read: (view, at) => view.getUint8(at) },
  1: { bytes: 1, array: Int8Array, read: (view, at) => view.getInt8(at) },
  2: { bytes: 2, array: Uint16Array, read: (view, at) => view.getUint16(at, true) },
  3: { bytes: 2, array: Int16Array, read: (view, at) => view.getInt16(at, true) },
  4: { bytes: 4, array: Uint32Array, read: (view, at) => view.getUint32(at, true) },
  5: { bytes: 4, array: Int32Array, read: (view, at) => view.getInt32(at, true) },
  6: { bytes: 4, array: Float32Array, read: (view, at) => view.getFloat32(at, true) },
  10: { bytes: 8, array: BigUint64Array, read: (view, at) => numberIfSafe(view.getBigUint64(at, true)) },
  11: { bytes: 8, array: BigInt64Array, read: (view, at) => numberIfSafe(view.getBigInt64(at, true)) },
  12: { bytes: 8, array: Float64Array, read: (view, at) => view.getFloat64(at, true) },
};

interface NumberType {
  bytes: number;
  array: new (buffer: ArrayBuffer) => Extract<GgufArray, ArrayBufferView>;
  read(view: DataView, at: number): number | bigint;
}

async function readValue(cursor: Cursor, type: number, key: string): Promise<GgufValue> {
  if (type === STRING) return cursor.string(`the value of ${quote(key)}`);
  if (type === ARRAY) return readArray(cursor, key, 1);
  if (type === BOOL) {
    await cursor.need(1);
    return readBool(cursor, key);
  }
  const number = numberTypes[type];
  if (!number) throw cursor.corrupt(`${quote(key)} has value type ${type}, which GGUF does not know`);
  await cursor.need(number.bytes);
  return cursor.number(number);
}

async function readArray(cursor: Cursor, key: string, depth: number): Promise<GgufArray> {
  if (depth > MAX_ARRAY_DEPTH) throw cursor.corrupt(`${quote(key)} nests arrays more than ${MAX_ARRAY_DEPTH} deep`);
  await cursor.need(12);
  const type = cursor.u32();
  const number = numberTypes[type];
  if (number) {
    const count = cursor.count(`elements of ${quote(key)}`, number.bytes);
    await cursor.need(count * number.bytes);
    return new number.array(cursor.copy(count * number.bytes));
  }
  switch (type) {
    case STRING: {
      const count = cursor.count(`elements of ${quote(key)}`, 8);
      return readStrings(cursor, count, key);
    }
    case BOOL: {
      const count = cursor.count(`elements of ${quote(key)}`, 1);
      await cursor.need(count);
      return Array.from({ length: count }, () => readBool(cursor, key));
    }
    case ARRAY: {
      const count = cursor.count(`elements of ${quote(key)}`, 12);
      if (count > MOST_ENTRIES) throw cursor.corrupt(`${quote(key)} is an array of ${count} arrays`);
      const arrays: GgufArray[] = [];
      for (let i = 0; i < count; i++) arrays.push(await readArray(cursor, key, depth + 1));
      return arrays;
    }
    default:
      throw cursor.corrupt(`${quote(key)} is an array of type ${type}, which GGUF does not know`);
  }
}

async function readStrings(cursor: Cursor, count: number, key: string): Promise<string[]> {
  const what = `a string of ${quote(key)}`;
  const strings: string[] = [];
  while (strings.length < count) {
    cursor.texts(count - strings.length, what, strings);
    if (strings.length < count) strings.push(await cursor.string(what));
  }
  return strings;
}

function readBool(cursor: Cursor, key: string): boolean {
  const value = cursor.u8();
  if (value > 1) throw cursor.corrupt(`the boolean ${quote(key)} is ${value}, neither 0 nor 1`);
  return value === 1;
}

function numberIfSafe(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

// Tensors

interface TensorEntry {
  name: string;
  type: TensorType;
  shape: number[];
  /** From the start of the data. */
  offset: number;
  byteLength: number;
}

async function readTensorEntry(cursor: Cursor): Promise<TensorEntry> {
  const name = await cursor.name('tensor name');
  const tensor = `tensor ${quote(name)}`;
  await cursor.need(4);
  const dimensions = cursor.u32();
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    throw cursor.corrupt(`${tensor} has ${dimensions} dimensions, not 1 to ${MAX_DIMENSIONS}`);
  }
  await cursor.need(dimensions * 8 + 12);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(cursor.u64(`a dimension of ${tensor}`));
  const typeId = cursor.u32();
  const offset = cursor.u64(`the offset of ${tensor}`);

  const type = tensorTypeOfId(typeId);
  if (!type) {
    throw new QwenError(
      'unsupported-gguf',
      `${cursor.source.file}: ${tensor} is of type ${nameOfTypeId(typeId)}, which this package does not run. Choose a file quantised to ${tensorTypes.join(', ')}.`,
      { file: cursor.source.file },
    );
  }
  const { blockWeights, blockBytes } = quantTypes[type];
  const columns = shape[shape.length - 1];
  if (shape.includes(0)) throw cursor.corrupt(`${tensor} has a dimension of 0`);
  if (columns % blockWeights !== 0) {
    throw cursor.corrupt(
      `${tensor} has rows of ${columns} weights, no whole number of ${type} blocks of ${blockWeights}`,
    );
  }
  // Sizes up to 2^53 each: the product may be inexact or infinite, and is then too large for any file.
  const byteLength = shape.reduce((product, size) => product * size, blockBytes / blockWeights);
  if (!Number.isSafeInteger(byteLength)) throw cursor.corrupt(`${tensor} of shape [${shape}] is too large to exist`);
  return { name, type, shape, offset, byteLength };
}

function readAlignment(cursor: Cursor, metadata: GgufMetadata): number {
  const alignment = metadata.get('general.alignment') ?? 32;
  if (typeof alignment !== 'number' || !Number.isInteger(Math.log2(alignment)) || alignment > 2 ** 24) {
    throw cursor.corrupt(`general.alignment is ${String(alignment)}, not a power of two up to 2^24`);
  }
  return alignment;
}

/** Checks that the tensors lie in the file, aligned, without overlap and each named once. */
function placeTensors(cursor: Cursor, entries: TensorEntry[], dataStart: number, alignment: number): GgufTensor[] {
  const { file, size } = cursor.source;
  const names = new Set<string>();
  for (const { name, offset, byteLength } of entries) {
    if (names.has(name)) throw cursor.corrupt(`tensor ${quote(name)} appears twice`);
    names.add(name);
    if (offset % alignment !== 0) throw cursor.corrupt(`tensor ${quote(name)} is not aligned to ${alignment} bytes`);
    const end = dataStart + offset + byteLength;
    if (end > size) {
      throw new QwenError(
        'truncated',
        `${file} has ${size} bytes, but its tensor ${quote(name)} ends at byte ${end}: the download was cut short, or the header is damaged. Download it again.`,
        { file },
      );
    }
  }
  const inOrder = [...entries].sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < inOrder.length; i++) {
    if (inOrder[i - 1].offset + inOrder[i - 1].byteLength > inOrder[i].offset) {
      throw cursor.corrupt(`the tensors ${quote(inOrder[i - 1].name)} and ${quote(inOrder[i].name)} overlap`);
    }
  }
  return entries.map(({ name, type, shape, offset, byteLength }) => {
    return { name, type, shape, fileOffset: dataStart + offset, byteLength };
  });
}

// Bytes

/** A position in the part of the file that was read so far. */
class Cursor {
  position = 0;
  private bytes = new Uint8Array(0);
  private view = new DataView(this.bytes.buffer);
  private readonly batch = new TextBatch();

  constructor(
    readonly source: ByteSource,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** Whether the next `bytes` bytes are here. */
  has(bytes: number): boolean {
    return this.position + bytes <= this.bytes.length;
  }

  /** Makes the next `bytes` bytes be here, reading on if need be. @throws QwenError `truncated` */
  async need(bytes: number): Promise<void> {
    const end = this.position + bytes;
    if (end <= this.bytes.length) return;
    if (end > this.source.size) throw this.tooLong(`the header goes on to byte ${end} at least`, bytes);
    if (end > MAX_HEADER_BYTES) throw this.corrupt(`the header goes on to byte ${end} at least`);
    const wanted = Math.max(end, FIRST_READ_BYTES, this.bytes.length * READ_GROWTH);
    this.bytes = await this.source.prefix(Math.min(wanted, this.source.size, MAX_HEADER_BYTES), this.signal);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
  }

  skip(bytes: number): void {
    this.position += bytes;
  }

  u8(): number {
    return this.bytes[this.position++];
  }

  u32(): number {
    const value = this.view.getUint32(this.position, true);
    this.position += 4;
    return value;
  }

  u64(what: string): number {
    const low = this.view.getUint32(this.position, true);
    const value = this.view.getUint32(this.position + 4, true) * 2 ** 32 + low;
    this.position += 8;
    if (!Number.isSafeInteger(value)) throw this.corrupt(`${what} is ${value}, which cannot be`);
    return value;
  }

  /** A u64 that counts things of at least `bytesEach` bytes that follow. */
  count(what: string, bytesEach: number): number {
    const count = this.u64(`the number of ${what}`);
    if (count > (this.source.size - this.position) / bytesEach) {
      throw this.tooLong(`it announces ${count} ${what}`, count);
    }
    return count;
  }

  /** A u64 that says how many bytes follow. */
  length(what: string): number {
    const length = this.u64(`the length of ${what}`);
    if (length > this.source.size - this.position) throw this.tooLong(`${what} is ${length} bytes long`, length);
    return length;
  }

  number(type: NumberType): number | bigint {
    const value = type.read(this.view, this.position);
    this.position += type.bytes;
    return value;
  }

  async name(what: string): Promise<string> {
    await this.need(8);
    const length = this.length(`a ${what}`);
    if (length > MAX_NAME_BYTES) throw this.corrupt(`a ${what} is ${length} bytes long`);
    await this.need(length);
    return this.text(length);
  }

  async string(what: string): Promise<string> {
    await this.need(8);
    const length = this.length(what);
    await this.need(length);
    return this.text(length);
  }

  text(length: number): string {
    const start = this.position;
    this.position += length;
    return this.batch.decode(this.bytes.subarray(start, start + length));
  }

  /** Appends the next strings, `count` or as many as are wholly here. */
  texts(count: number, what: string, out: string[]): void {
    for (let i = 0; i < count && this.has(8); i++) {
      const start = this.position;
      const length = this.length(what);
      if (!this.has(length)) {
        this.position = start;
        break;
      }
      this.batch.add(this.bytes, this.position, length, out);
      this.position += length;
    }
    this.batch.flush(out);
  }

  /** The next bytes in a buffer of their own, so that typed arrays of any width can lie on it. */
  copy(length: number): ArrayBuffer {
    const start = this.bytes.byteOffset + this.position;
    this.position += length;
    return this.bytes.buffer.slice(start, start + length);
  }

  /** The first bytes of the file, one character each. */
  peekText(length: number): string {
    return String.fromCharCode(...this.bytes.subarray(0, length));
  }

  corrupt(what: string): QwenError {
    return this.error(
      'corrupt-gguf',
      `${what}. The header is damaged: download the file again, or take it from elsewhere.`,
    );
  }

  private tooLong(what: string, length: number): QwenError {
    if (length > PLAUSIBLE_LENGTH) return this.corrupt(`at byte ${this.position} ${what}, more than a file can hold`);
    return this.error(
      'truncated',
      `at byte ${this.position} ${what}, but the file ends at byte ${this.source.size}: the download was cut short, or the header is damaged. Download it again.`,
    );
  }

  private error(code: QwenErrorCode, message: string): QwenError {
    const { file } = this.source;
    return new QwenError(code, `${file}: ${message}`, { file });
  }
}

/** Names come out of the file: short and without control characters in a message. */
function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

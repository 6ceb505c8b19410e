/** Writes small GGUF files for tests. Little-endian, version 3 unless told otherwise. */

/** Value types of GGUF metadata, by their numbers in the file. */
export const ggufValueTypes = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

export type ScalarKind = Exclude<keyof typeof ggufValueTypes, 'array'>;

/** A value with its type: `['u32', 5]`, `['string', 'x']`, `['array', 'u8', [1, 2]]`, `['array', 'array', [['u8', [1]]]]`. */
export type WriterValue =
  | readonly [kind: ScalarKind, value: number | bigint | boolean | string]
  | readonly [kind: 'array', of: ScalarKind, values: readonly (number | bigint | boolean | string)[]]
  | readonly [kind: 'array', of: 'array', values: readonly (readonly [ScalarKind, readonly (number | string)[]])[]];

export interface WriterTensor {
  name: string;
  /** ggml's number of the type: 0 is F32. */
  typeId: number;
  /** `[out, in]`, as in `TensorInfo.shape`; written reversed, as GGUF wants it. */
  shape: readonly number[];
  data: Uint8Array;
  /** Instead of the next aligned offset. */
  offset?: number;
}

export interface WriterOptions {
  /** A plain string is written as a string, a boolean as a bool, an integer as u32, another number as f32. */
  metadata?: Readonly<Record<string, WriterValue | string | number | boolean>>;
  tensors?: readonly WriterTensor[];
  /** Written as `general.alignment` when it is not 32. */
  align?: number;
  version?: number;
}

export function writeGguf(options: WriterOptions = {}): Uint8Array<ArrayBuffer> {
  const { metadata = {}, tensors = [], align = 32, version = 3 } = options;
  const out = new ByteWriter();
  const entries = Object.entries(metadata);
  if (align !== 32) entries.push(['general.alignment', ['u32', align]]);

  out.bytes(new TextEncoder().encode('GGUF'));
  out.scalar('u32', version);
  out.scalar('u64', tensors.length);
  out.scalar('u64', entries.length);
  for (const [key, value] of entries) {
    out.scalar('string', key);
    out.value(typed(value));
  }

  let next = 0;
  const offsets = tensors.map((tensor) => {
    const offset = tensor.offset ?? next;
    next = Math.max(next, roundUp(offset + tensor.data.length, align));
    return offset;
  });
  tensors.forEach((tensor, i) => {
    out.scalar('string', tensor.name);
    out.scalar('u32', tensor.shape.length);
    for (const size of [...tensor.shape].reverse()) out.scalar('u64', size);
    out.scalar('u32', tensor.typeId);
    out.scalar('u64', offsets[i]);
  });

  const dataStart = roundUp(out.length, align);
  tensors.forEach((tensor, i) => {
    out.padTo(dataStart + offsets[i]);
    out.bytes(tensor.data);
  });
  return out.finish();
}

const encoder = new TextEncoder();

/** Growing little-endian buffer; also handy for writing headers that are wrong on purpose. */
export class ByteWriter {
  private buffer = new Uint8Array(1024);
  private view = new DataView(this.buffer.buffer);
  length = 0;

  bytes(bytes: Uint8Array): this {
    this.room(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  padTo(length: number): this {
    return length > this.length ? this.bytes(new Uint8Array(length - this.length)) : this;
  }

  scalar(kind: ScalarKind, value: number | bigint | boolean | string): this {
    if (kind === 'string') {
      const text = encoder.encode(String(value));
      return this.scalar('u64', text.length).bytes(text);
    }
    this.room(8);
    const { view } = this;
    const at = this.length;
    switch (kind) {
      case 'u8':
        view.setUint8(at, Number(value));
        break;
      case 'i8':
        view.setInt8(at, Number(value));
        break;
      case 'bool':
        view.setUint8(at, Number(value));
        break;
      case 'u16':
        view.setUint16(at, Number(value), true);
        break;
      case 'i16':
        view.setInt16(at, Number(value), true);
        break;
      case 'u32':
        view.setUint32(at, Number(value), true);
        break;
      case 'i32':
        view.setInt32(at, Number(value), true);
        break;
      case 'f32':
        view.setFloat32(at, Number(value), true);
        break;
      case 'u64':
        view.setBigUint64(at, BigInt(value), true);
        break;
      case 'i64':
        view.setBigInt64(at, BigInt(value), true);
        break;
      case 'f64':
        view.setFloat64(at, Number(value), true);
        break;
    }
    this.length += scalarBytes[kind];
    return this;
  }

  /** The type's number, then the value. */
  value(value: WriterValue): this {
    this.scalar('u32', ggufValueTypes[value[0]]);
    if (value[0] !== 'array') return this.scalar(value[0], value[1]);
    this.scalar('u32', ggufValueTypes[value[1]]);
    this.scalar('u64', value[2].length);
    if (value[1] === 'array') {
      for (const [of, items] of value[2]) {
        this.scalar('u32', ggufValueTypes[of]).scalar('u64', items.length);
        for (const item of items) this.scalar(of, item);
      }
    } else {
      for (const item of value[2]) this.scalar(value[1], item);
    }
    return this;
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.buffer.slice(0, this.length);
  }

  private room(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const grown = new Uint8Array(Math.max(this.buffer.length * 2, this.length + bytes));
    grown.set(this.buffer);
    this.buffer = grown;
    this.view = new DataView(grown.buffer);
  }
}

const scalarBytes = {
  u8: 1,
  i8: 1,
  bool: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  u64: 8,
  i64: 8,
  f64: 8,
} as const satisfies Record<Exclude<ScalarKind, 'string'>, number>;

function typed(value: WriterValue | string | number | boolean): WriterValue {
  if (typeof value === 'string') return ['string', value];
  if (typeof value === 'boolean') return ['bool', value];
  if (typeof value === 'number') return [Number.isInteger(value) ? 'u32' : 'f32', value];
  return value;
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

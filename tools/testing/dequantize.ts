/** Float64 values of GGUF blocks, written from the format's description for clarity: the reference of every kernel test. */
import { quantTypes } from '../../src/weights/quant-types.ts';
import type { TensorType } from '../../src/weights/types.ts';

type BlockReader = (block: DataView, out: Float64Array, at: number) => void;

export function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15));
}

const halfAt = (block: DataView, offset: number) => half(block.getUint16(offset, true));

/** 6-bit scale and minimum of sub-block j of Q4_K and Q5_K, from the 12 bytes at `offset`. */
function kScaleMin(block: DataView, offset: number, j: number): [scale: number, min: number] {
  const s = (i: number) => block.getUint8(offset + i);
  if (j < 4) return [s(j) & 63, s(j + 4) & 63];
  return [(s(j + 4) & 15) | ((s(j - 4) >> 6) << 4), (s(j + 4) >> 4) | ((s(j) >> 6) << 4)];
}

/** Low nibbles of 16 bytes are weights 0–15, high nibbles 16–31. */
function nibble(block: DataView, offset: number, i: number): number {
  const byte = block.getUint8(offset + (i & 15));
  return i < 16 ? byte & 15 : byte >> 4;
}

const readers: Partial<Record<TensorType, BlockReader>> = {
  F32: (b, out, at) => {
    out[at] = b.getFloat32(0, true);
  },
  F16: (b, out, at) => {
    out[at] = halfAt(b, 0);
  },
  BF16: (b, out, at) => {
    out[at] = new Float32Array(new Uint32Array([b.getUint16(0, true) << 16]).buffer)[0];
  },
  Q4_0: (b, out, at) => {
    for (let i = 0; i < 32; i++) out[at + i] = halfAt(b, 0) * (nibble(b, 2, i) - 8);
  },
  Q8_0: (b, out, at) => {
    for (let i = 0; i < 32; i++) out[at + i] = halfAt(b, 0) * b.getInt8(2 + i);
  },
  Q4_K: (b, out, at) => {
    for (let i = 0; i < 256; i++) {
      const [sc, m] = kScaleMin(b, 4, i >> 5);
      const byte = b.getUint8(16 + 32 * (i >> 6) + (i & 31));
      out[at + i] = halfAt(b, 0) * sc * (i & 32 ? byte >> 4 : byte & 15) - halfAt(b, 2) * m;
    }
  },
};

export const dequantizable = Object.keys(readers) as TensorType[];

/** Values of `bytes`, blocks of `type` as they lie in a file. */
export function dequantize(type: TensorType, bytes: Uint8Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const { blockBytes, blockWeights } = quantTypes[type];
  const blocks = bytes.byteLength / blockBytes;
  const out = new Float64Array(blocks * blockWeights);
  const read = readers[type];
  if (!read) throw new Error(`no reference for ${type}`);
  for (let b = 0; b < blocks; b++) {
    read(new DataView(bytes.buffer, bytes.byteOffset + b * blockBytes, blockBytes), out, b * blockWeights);
  }
  return out;
}

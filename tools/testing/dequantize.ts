/** Float64 values of GGUF blocks, written from the format's description for clarity: the reference of every kernel test. */
import { type GridName, gridValues, signBytes } from '../../src/weights/iq-grids.ts';
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

/** 6-bit scale of sub-block j of Q3_K: low four bits in bytes 0–7 (low nibbles, then high), high two in bytes 8–11. */
function q3Scale(block: DataView, offset: number, j: number): number {
  const low = block.getUint8(offset + (j & 7)) >> (j < 8 ? 0 : 4);
  const high = block.getUint8(offset + 8 + (j & 3)) >> (2 * (j >> 2));
  return (low & 15) | ((high & 3) << 4);
}

/** Low nibbles of 16 bytes are weights 0–15, high nibbles 16–31. */
function nibble(block: DataView, offset: number, i: number): number {
  const byte = block.getUint8(offset + (i & 15));
  return i < 16 ? byte & 15 : byte >> 4;
}

/** The i-th nibble in the order of bytes, low before high. */
function nibbleInOrder(block: DataView, offset: number, i: number): number {
  return (block.getUint8(offset + (i >> 1)) >> (4 * (i & 1))) & 15;
}

/** Bit i of bytes read from the least significant bit of the first. */
const bit = (block: DataView, offset: number, i: number) => (block.getUint8(offset + (i >> 3)) >> (i & 7)) & 1;

/** The two bits of weight i in Q2_K, Q3_K and (as upper bits) Q6_K: 32 bytes hold 128 weights, a run of 32 each shift. */
const twoBits = (block: DataView, offset: number, i: number) =>
  (block.getUint8(offset + 32 * (i >> 7) + (i & 31)) >> (2 * ((i >> 5) & 3))) & 3;

/** One bit of weight i in Q3_K and Q5_K: bit b of 32 bytes belongs to the b-th run of 32 weights. */
const runBit = (block: DataView, offset: number, i: number) => (block.getUint8(offset + (i & 31)) >> (i >> 5)) & 1;

/** Of Q4_K and Q5_K: 32 bytes hold 64 weights, the first 32 in the low nibbles. */
const kNibble = (block: DataView, offset: number, i: number) =>
  (block.getUint8(offset + 32 * (i >> 6) + (i & 31)) >> (i & 32 ? 4 : 0)) & 15;

const grids = new Map<GridName, Int8Array>();
function codebook(name: GridName): Int8Array {
  const values = grids.get(name) ?? gridValues(name);
  grids.set(name, values);
  return values;
}

const evenSigns = signBytes();
const sign = (signs: number, i: number) => ((signs >> (i & 7)) & 1 ? -1 : 1);

const IQ4_VALUES = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
const E2M1_VALUES = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

/** A reader from the value of weight i. */
const each =
  (value: (block: DataView, i: number) => number, weights: number): BlockReader =>
  (block, out, at) => {
    for (let i = 0; i < weights; i++) out[at + i] = value(block, i);
  };

const readers: Record<TensorType, BlockReader> = {
  F32: each((b) => b.getFloat32(0, true), 1),
  F16: each((b) => halfAt(b, 0), 1),
  BF16: each((b) => new Float32Array(new Uint32Array([b.getUint16(0, true) << 16]).buffer)[0], 1),
  Q4_0: each((b, i) => halfAt(b, 0) * (nibble(b, 2, i) - 8), 32),
  Q4_1: each((b, i) => halfAt(b, 0) * nibble(b, 4, i) + halfAt(b, 2), 32),
  Q5_0: each((b, i) => halfAt(b, 0) * ((nibble(b, 6, i) | (bit(b, 2, i) << 4)) - 16), 32),
  Q5_1: each((b, i) => halfAt(b, 0) * (nibble(b, 8, i) | (bit(b, 4, i) << 4)) + halfAt(b, 2), 32),
  Q8_0: each((b, i) => halfAt(b, 0) * b.getInt8(2 + i), 32),
  Q2_K: each((b, i) => {
    const scales = b.getUint8(i >> 4);
    return halfAt(b, 80) * (scales & 15) * twoBits(b, 16, i) - halfAt(b, 82) * (scales >> 4);
  }, 256),
  Q3_K: each((b, i) => {
    const q = twoBits(b, 32, i) - (runBit(b, 0, i) ? 0 : 4);
    return halfAt(b, 108) * (q3Scale(b, 96, i >> 4) - 32) * q;
  }, 256),
  Q4_K: each((b, i) => {
    const [scale, min] = kScaleMin(b, 4, i >> 5);
    return halfAt(b, 0) * scale * kNibble(b, 16, i) - halfAt(b, 2) * min;
  }, 256),
  Q5_K: each((b, i) => {
    const [scale, min] = kScaleMin(b, 4, i >> 5);
    return halfAt(b, 0) * scale * (kNibble(b, 48, i) | (runBit(b, 16, i) << 4)) - halfAt(b, 2) * min;
  }, 256),
  Q6_K: each((b, i) => {
    const low = b.getUint8(64 * (i >> 7) + (i & 63)) >> (i & 64 ? 4 : 0);
    return halfAt(b, 208) * b.getInt8(192 + (i >> 4)) * (((low & 15) | (twoBits(b, 128, i) << 4)) - 32);
  }, 256),
  // d, then per 32 weights four index bytes and a word: 4 × 7 sign bits, 4 bits of scale.
  IQ2_XXS: each((b, i) => {
    const at = 2 + 8 * (i >> 5);
    const index = b.getUint8(at + ((i >> 3) & 3));
    const word = b.getUint32(at + 4, true);
    const signs = evenSigns[(word >>> (7 * ((i >> 3) & 3))) & 127];
    return halfAt(b, 0) * (0.5 + (word >>> 28)) * 0.25 * codebook('IQ2_XXS')[8 * index + (i & 7)] * sign(signs, i);
  }, 256),
  // d, per 8 weights a 16-bit word (9 bits of index, 7 of signs), per 16 a 4-bit scale.
  IQ2_XS: each((b, i) => {
    const word = b.getUint16(2 + 2 * (i >> 3), true);
    const scale = 0.5 + nibbleInOrder(b, 66, i >> 4);
    return halfAt(b, 0) * scale * 0.25 * codebook('IQ2_XS')[8 * (word & 511) + (i & 7)] * sign(evenSigns[word >> 9], i);
  }, 256),
  // d, low index bytes, sign bytes, upper two index bits (a byte per 32), 4-bit scales per 16.
  IQ2_S: each((b, i) => {
    const g = i >> 3;
    const index = b.getUint8(2 + g) | (((b.getUint8(66 + (g >> 2)) >> (2 * (g & 3))) & 3) << 8);
    const scale = 0.5 + nibbleInOrder(b, 74, i >> 4);
    return halfAt(b, 0) * scale * 0.25 * codebook('IQ2_S')[8 * index + (i & 7)] * sign(b.getUint8(34 + g), i);
  }, 256),
  // d, an index byte per 4 weights, per 32 a word: 4 × 7 sign bits, 4 bits of scale.
  IQ3_XXS: each((b, i) => {
    const index = b.getUint8(2 + (i >> 2));
    const word = b.getUint32(66 + 4 * (i >> 5), true);
    const signs = evenSigns[(word >>> (7 * ((i >> 3) & 3))) & 127];
    return halfAt(b, 0) * (0.5 + (word >>> 28)) * 0.5 * codebook('IQ3_XXS')[4 * index + (i & 3)] * sign(signs, i);
  }, 256),
  // d, low index bytes per 4 weights, ninth index bits, sign bytes, a 4-bit scale per 32.
  IQ3_S: each((b, i) => {
    const index = b.getUint8(2 + (i >> 2)) | (bit(b, 66, i >> 2) << 8);
    const scale = 1 + 2 * nibbleInOrder(b, 106, i >> 5);
    return halfAt(b, 0) * scale * codebook('IQ3_S')[4 * index + (i & 3)] * sign(b.getUint8(74 + (i >> 3)), i);
  }, 256),
  // d, low index bytes per 8 weights, per 32 a 16-bit word: 4 × 3 index bits, 3 bits of scale, sign of the offset 1/8.
  IQ1_S: each((b, i) => {
    const word = b.getUint16(34 + 2 * (i >> 5), true);
    const index = b.getUint8(2 + (i >> 3)) | (((word >> (3 * ((i >> 3) & 3))) & 7) << 8);
    const offset = word & 0x8000 ? -0.125 : 0.125;
    return halfAt(b, 0) * (2 * ((word >> 12) & 7) + 1) * (codebook('IQ1_S')[8 * index + (i & 7)] + offset);
  }, 256),
  // Low index bytes per 8 weights, a nibble for each (3 index bits, sign of the offset), four 16-bit words with four 3-bit
  // scales (per 16 weights) and a nibble of d each.
  IQ1_M: each((b, i) => {
    const high = nibbleInOrder(b, 32, i >> 3);
    const index = b.getUint8(i >> 3) | ((high & 7) << 8);
    const offset = high & 8 ? -0.125 : 0.125;
    const word = (j: number) => b.getUint16(48 + 2 * j, true);
    const d = half((word(0) >> 12) | ((word(1) >> 12) << 4) | ((word(2) >> 12) << 8) | ((word(3) >> 12) << 12));
    const scale = 2 * ((word(i >> 6) >> (3 * ((i >> 4) & 3))) & 7) + 1;
    return d * scale * (codebook('IQ1_S')[8 * index + (i & 7)] + offset);
  }, 256),
  IQ4_NL: each((b, i) => halfAt(b, 0) * IQ4_VALUES[nibble(b, 2, i)], 32),
  // d, upper two bits of eight scales, lower four bits of them, then 16 bytes per 32 weights.
  IQ4_XS: each((b, i) => {
    const j = i >> 5;
    const scale = nibbleInOrder(b, 4, j) | (((b.getUint16(2, true) >> (2 * j)) & 3) << 4);
    return halfAt(b, 0) * (scale - 32) * IQ4_VALUES[nibble(b, 8 + 16 * j, i & 31)];
  }, 256),
  MXFP4: each((b, i) => {
    const q = nibble(b, 1, i);
    return 2 ** (b.getUint8(0) - 127) * E2M1_VALUES[q & 7] * (q & 8 ? -1 : 1);
  }, 32),
};

export const dequantizable = Object.keys(readers) as TensorType[];

/** Values of `bytes`, blocks of `type` as they lie in a file. */
export function dequantize(type: TensorType, bytes: Uint8Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const { blockBytes, blockWeights } = quantTypes[type];
  const blocks = bytes.byteLength / blockBytes;
  const out = new Float64Array(blocks * blockWeights);
  const read = readers[type];
  for (let b = 0; b < blocks; b++) {
    read(new DataView(bytes.buffer, bytes.byteOffset + b * blockBytes, blockBytes), out, b * blockWeights);
  }
  return out;
}

/** Seeded random numbers and tensors for tests: the same seed gives the same bytes everywhere. */
import { quantTypes } from '../../src/weights/quant-types.ts';
import type { TensorType } from '../../src/weights/types.ts';

/** mulberry32: uniform in [0, 1). */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Standard normal values (Box–Muller). */
export function randomNormal(seed: number, length: number, std = 1, mean = 0): Float32Array<ArrayBuffer> {
  const random = randomSource(seed);
  return Float32Array.from(
    { length },
    () => mean + std * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
}

/** Nearest half-precision number, as its 16 bits. */
export function toHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const x = Math.abs(value);
  if (x >= 65520) return sign | 0x7c00;
  if (x < 2 ** -14) return sign | roundHalfEven(x * 2 ** 24);
  const exponent = Math.floor(Math.log2(x));
  const mantissa = roundHalfEven((x / 2 ** exponent - 1) * 1024);
  return sign | (((exponent + 15) << 10) + mantissa);
}

function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** Byte offsets of the f16 scales in a block; everything else in a quantised block may be any bit pattern. */
const HALF_FIELDS: Partial<Record<TensorType, readonly number[]>> = {
  Q4_0: [0], Q4_1: [0, 2], Q5_0: [0], Q5_1: [0, 2], Q8_0: [0], IQ4_NL: [0], IQ4_XS: [0],
  Q2_K: [80, 82], Q3_K: [108], Q4_K: [0, 2], Q5_K: [0, 2], Q6_K: [208],
  IQ1_S: [0], IQ2_XXS: [0], IQ2_XS: [0], IQ2_S: [0], IQ3_XXS: [0], IQ3_S: [0],
}; // biome-ignore format: a table

/**
 * Random blocks of a type for `weights` weights, as they lie in a file: uniformly random quants, half-precision scales of
 * about 2^-8, some of them negative, zero or subnormal.
 */
export function randomBlocks(type: TensorType, weights: number, seed: number): Uint8Array<ArrayBuffer> {
  const { blockBytes, blockWeights } = quantTypes[type];
  const random = randomSource(seed);
  const blocks = weights / blockWeights;
  const bytes = new Uint8Array(blocks * blockBytes);
  const view = new DataView(bytes.buffer);
  if (blockWeights === 1) {
    const values = randomNormal(seed, weights);
    values.forEach((v, i) => {
      if (type === 'F32') view.setFloat32(4 * i, v, true);
      else if (type === 'F16') view.setUint16(2 * i, toHalf(v), true);
      else view.setUint16(2 * i, new Uint32Array(new Float32Array([v]).buffer)[0] >>> 16, true);
    });
    return bytes;
  }
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(random() * 256);
  for (let b = 0; b < blocks; b++) {
    const half = () => {
      const kind = random();
      const scale = kind < 0.02 ? 0 : kind < 0.05 ? 2 ** -20 : 2 ** -8 * (0.5 + random());
      return toHalf(kind > 0.9 ? -scale : scale);
    };
    for (const at of HALF_FIELDS[type] ?? []) view.setUint16(b * blockBytes + at, half(), true);
    if (type === 'MXFP4') bytes[b * blockBytes] = 119 + Math.floor(random() * 4);
    if (type === 'IQ1_M') {
      // The four nibbles of d are the top nibbles of the four 16-bit scale words.
      const d = half();
      for (let i = 0; i < 4; i++) {
        const at = b * blockBytes + 49 + 2 * i;
        bytes[at] = (bytes[at] & 0x0f) | (((d >> (4 * i)) & 0xf) << 4);
      }
    }
  }
  return bytes;
}

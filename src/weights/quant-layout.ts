import type { GridName } from './iq-grids.ts';
import { quantTypes } from './quant-types.ts';
import type { TensorType } from './types.ts';

/**
 * How quantised weights lie in GPU memory. GGUF's blocks (17 to 210 bytes) are not word-aligned; a shader
 * (`shaders/repack.wgsl`) splits them once into up to three planes whose words a kernel loads whole:
 *
 * - `quants`: what is read most. 4-bit types: one `vec4u` per 32 weights, low nibbles of word j = weights 4j…4j+3, high
 *   nibbles = weights 16+4j…; 2-bit types: one `vec2u` per 32 (`shaders/lib/two_bits.wgsl`); IQ1 to IQ3: codebook entries.
 * - `high`: further bits of the quants: fifth bits, signs (`shaders/lib/bit_plane.wgsl`), the upper two bits of Q6_K.
 * - `scales`: scales and minimums, original precision.
 *
 * Each decoder under `shaders/lib/weights/` states the bits of its planes. Plane bytes per block add up to the block's own,
 * or a few more where a field is padded to words.
 */
export interface QuantLayout {
  /** Bytes per block in each plane; 0 = the plane is absent. May be less than a word: see `blocksPerGroup`. */
  readonly quants: number;
  readonly high: number;
  readonly scales: number;
  /** Blocks one shader invocation repacks, so that every plane is written in whole words. */
  readonly blocksPerGroup: number;
  /** Codebook of `iq-grids.ts` that the decoder looks up. */
  readonly grid?: GridName;
}

const layout = (
  quants: number,
  high: number,
  scales: number,
  blocksPerGroup = 1,
  grid?: QuantLayout['grid'],
): QuantLayout => ({ quants, high, scales, blocksPerGroup, grid });

export const quantLayouts = {
  F32: layout(4, 0, 0),
  F16: layout(2, 0, 0, 2),
  BF16: layout(2, 0, 0, 2),
  Q4_0: layout(16, 0, 2, 2),
  Q4_1: layout(16, 0, 4),
  Q5_0: layout(16, 4, 2, 2),
  Q5_1: layout(16, 4, 4),
  Q8_0: layout(32, 0, 2, 2),
  Q2_K: layout(64, 4, 16), // high: d | dmin
  Q3_K: layout(64, 32, 16), // high: third bits; scales: 12 bytes of 6-bit scales, d
  Q4_K: layout(128, 0, 16), // scales: d | dmin, 12 bytes of 6-bit scales and minimums
  Q5_K: layout(128, 32, 16), // high: fifth bits
  Q6_K: layout(128, 64, 20), // high: upper two bits; scales: 16 signed bytes, d
  IQ1_S: layout(32, 16, 2, 2, 'IQ1_S'), // high: qh, one u16 per 32
  IQ1_M: layout(32, 16, 8, 1, 'IQ1_S'), // high: qh, two bytes per 32
  IQ2_XXS: layout(64, 0, 2, 2, 'IQ2_XXS'), // quants: per 32 four index bytes, a word of signs and scale
  IQ2_XS: layout(64, 8, 2, 2, 'IQ2_XS'), // quants: per 32 four low index bytes, a word of signs and ninth bits; high: 4-bit scales
  IQ2_S: layout(64, 16, 2, 2, 'IQ2_S'), // quants: per 32 four low index bytes, a word of signs; high: a byte of qh, a byte of scales
  IQ3_XXS: layout(64, 32, 2, 2, 'IQ3_XXS'), // high: signs and scale, one word per 32
  IQ3_S: layout(64, 32, 16, 1, 'IQ3_S'), // high: signs; scales: qh[8], scales[4], d
  IQ4_NL: layout(16, 0, 2, 2),
  IQ4_XS: layout(128, 0, 8), // scales: d | scales_h, scales_l
  MXFP4: layout(16, 0, 1, 4),
} as const satisfies Record<TensorType, QuantLayout>;

/** Types that are small integers times a scale, plus an offset: their decoders have `load_quants` beside `load_weights`. */
export const INTEGER_TYPES: ReadonlySet<TensorType> = new Set([
  'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K', 'IQ4_NL', 'IQ4_XS', 'MXFP4',
] satisfies TensorType[]); // biome-ignore format: a table

export const PLANES = ['quants', 'high', 'scales'] as const;
export type Plane = (typeof PLANES)[number];

/** Weights that a kernel decodes at once; every row is a whole number of these. */
export const CHUNK = 32;

/** Bytes of one plane for this many blocks, in whole words. */
export function planeBytes(type: TensorType, plane: Plane, blocks: number): number {
  return Math.ceil((quantLayouts[type][plane] * blocks) / 4) * 4;
}

/** Blocks in so many weights. */
export function blockCount(type: TensorType, weights: number): number {
  return weights / quantTypes[type].blockWeights;
}

import type { Bindable, Gpu, Recorder, ShaderVariant } from '../gpu/index.ts';
import { choicesOf } from './choices.ts';
import { foldGrid } from './lanes.ts';
import { expertProductParams, productParams } from './product-params.ts';
import type { WeightMatrix } from './weight-matrix.ts';

export interface MatvecShape {
  /** Invocations a workgroup. A subgroup's width where there are subgroups, so that one subgroup sum ends the row. */
  lanes: number;
  /** Rows a workgroup. */
  rows: number;
}

export interface MatvecOptions {
  /** Adds to y instead of overwriting it. */
  accumulate?: boolean;
  /** Floats from one row of y to the next, where y holds several products side by side; default: the matrix's rows. */
  stride?: number;
  /** Place of this product in a row of y. */
  offset?: number;
  shape?: MatvecShape;
}

/** Rows of x that a program which runs often multiplies together, reading each weight once: a variant for each number of them. */
const MOST_TOGETHER = 4;

/** One x row per routed pair (token, choice), and the slot of the expert it goes to. */
export interface Routed {
  /** `[pairs]` u32: slot of each pair's expert. */
  slots: Bindable;
  pairs: number;
  /** Pairs that share one row of x: top-k for gate and up, 1 for down. */
  xShare: number;
}

/** Shapes that this device can run, the one that is taken unmeasured first. */
export function matvecShapes({ capabilities }: Gpu): readonly MatvecShape[] {
  const { subgroups, subgroupMinSize: width, subgroupMaxSize } = capabilities;
  // Narrow subgroups are software adapters, which like few, fat lanes (docs/measurements/matvec.md).
  if (subgroups && subgroupMaxSize <= 8) return [16, 8].map((rows) => ({ lanes: width, rows }));
  // Where the width is known only to lie between, say, 4 and 64, the workgroup sum serves any.
  const sums = [4, 2, 8].map((rows) => ({ lanes: 32, rows }));
  return width >= 16 ? [...[4, 2, 8].map((rows) => ({ lanes: width, rows })), { lanes: 2 * width, rows: 4 }] : sums;
}

/**
 * The shape as chosen for the device. How many lanes share a row decides the order of its sum, so that is the same for any
 * number of tokens.
 * @param tokens multiplied together: on software adapters, where all is unrolled and compiling takes the longer the more sums
 *   there are, with fewer rows
 */
export function matvecShape(gpu: Gpu, tokens = 1): MatvecShape {
  const shape = choicesOf(gpu).matvec ?? matvecShapes(gpu)[0];
  if (tokens === 1 || gpu.capabilities.subgroupMaxSize > 8 || !gpu.capabilities.subgroups) return shape;
  return { ...shape, rows: Math.max(2, shape.rows / 2 ** Math.ceil(Math.log2(tokens))) };
}

/**
 * `y[t] = W · x[t]` for a few rows of x: the product of decoding, bound by the bytes of W. Each row's bits are the same,
 * however many there are.
 * @param x `[tokens, columns]` f32
 * @param y `[tokens, rows]` f32
 */
export function matvec(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  tokens: number,
  { accumulate = false, stride = w.rows, offset = 0, ...options }: MatvecOptions = {},
): void {
  const together = rec.often && tokens <= MOST_TOGETHER ? tokens : 1;
  const { shape = matvecShape(rec.gpu, together) } = options;
  for (const part of w.parts) {
    rec.dispatch(
      variant(rec.gpu, w, shape, { experts: false, tokens: together }),
      { ...w.bindings(part), activations: x, products: y },
      productParams(w, part, { tokens, accumulate, stride, offset }),
      foldGrid(rec.gpu, Math.ceil(part.count / shape.rows), tokens / together),
      { weights: w.label, weightBytes: (w.bytes * part.count) / w.rows },
    );
  }
}

/**
 * `y[p] = W[slots[p]] · x[p / xShare]` for routed pairs.
 * @param w stack of experts
 * @param y `[pairs, rows]` f32
 */
export function expertMatvec(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  { slots, pairs, xShare }: Routed,
  shape: MatvecShape = matvecShape(rec.gpu),
): void {
  for (const part of w.parts) {
    rec.dispatch(
      variant(rec.gpu, w, shape, { experts: true, tokens: 1 }),
      { ...w.bindings(part), activations: x, products: y, slots },
      expertProductParams(w, part, { pairs, xShare }),
      foldGrid(rec.gpu, Math.ceil(w.rows / shape.rows), pairs),
      { weights: w.label, weightBytes: part.first === 0 ? w.bytes * pairs : 0 },
    );
  }
}

function variant(
  { capabilities }: Gpu,
  w: WeightMatrix,
  { lanes, rows }: MatvecShape,
  { experts, tokens }: { experts: boolean; tokens: number },
): ShaderVariant {
  const subgroups = capabilities.subgroups && lanes <= capabilities.subgroupMinSize;
  return {
    name: 'matvec',
    ...w.variant,
    conditions: { subgroups, experts },
    constants: { LANES: lanes, ROWS: rows, TOKENS: tokens },
  };
}

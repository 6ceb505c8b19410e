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

/** The shape as chosen for the device. */
export function matvecShape(gpu: Gpu): MatvecShape {
  return choicesOf(gpu).matvec ?? matvecShapes(gpu)[0];
}

/**
 * `y[t] = W · x[t]` for a few rows of x: the product of decoding, bound by the bytes of W.
 * @param x `[tokens, columns]` f32
 * @param y `[tokens, rows]` f32
 */
export function matvec(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  tokens: number,
  { accumulate = false, stride = w.rows, offset = 0, shape = matvecShape(rec.gpu) }: MatvecOptions = {},
): void {
  for (const part of w.parts) {
    rec.dispatch(
      variant(rec.gpu, w, shape, false),
      { ...w.bindings(part), activations: x, products: y },
      productParams(w, part, { tokens, accumulate, stride, offset }),
      foldGrid(rec.gpu, Math.ceil(part.count / shape.rows), tokens),
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
      variant(rec.gpu, w, shape, true),
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
  experts: boolean,
): ShaderVariant {
  const subgroups = capabilities.subgroups && lanes <= capabilities.subgroupMinSize;
  return { name: 'matvec', ...w.variant, conditions: { subgroups, experts }, constants: { LANES: lanes, ROWS: rows } };
}

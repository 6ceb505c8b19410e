import type { Bindable, Gpu, Recorder, ShaderVariant } from '../gpu/index.ts';
import { foldGrid } from './lanes.ts';
import { expertProductParams, type ProductOptions, productParams } from './product-params.ts';
import type { WeightMatrix } from './weight-matrix.ts';

export interface MatvecShape {
  /** Invocations a workgroup. A subgroup's width where there are subgroups, so that one subgroup sum ends the row. */
  lanes: number;
  /** Rows a workgroup. */
  rows: number;
}

/** `rms(x) · weight`, done by the product that reads x. */
export interface InputNorm {
  /** `[columns]` f32. */
  weight: Bindable;
  eps: number;
}

/** The outputs of the routed experts, which the last product of the shared one is added to. */
export interface Mixture {
  /** `[tokens, topK, rows]` f32. */
  routed: Bindable;
  /** `[tokens, topK + 1]` f32, the last of the shared expert. */
  weights: Bindable;
  topK: number;
}

/** What is done on the way into a product and out of it. */
export interface MatvecFusions {
  norm?: InputNorm;
  /** The matrix has gates, then as many ups: `y = silu(gates · x) · (ups · x)`. */
  swiglu?: boolean;
  /** `y += Σ weights · routed + last weight · product`. */
  mixture?: Mixture;
}

export interface MatvecOptions extends ProductOptions, MatvecFusions {
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

export function matvecShape({ capabilities }: Gpu): MatvecShape {
  const { subgroups, subgroupMinSize, subgroupMaxSize } = capabilities;
  // Narrow subgroups are software adapters, which like few, fat lanes (docs/measurements/matvec.md).
  if (subgroups && subgroupMaxSize <= 8) return { lanes: subgroupMinSize, rows: 16 };
  // Where the width is known only to lie between, say, 4 and 64, the workgroup sum serves any.
  return { lanes: subgroupMinSize >= 16 ? subgroupMinSize : 32, rows: 4 };
}

/** Whether the device binds so many buffers at once, and the matrix is in one piece where it has to be. */
export function canFuse(gpu: Gpu, w: WeightMatrix, fusions: MatvecFusions, experts = false): boolean {
  const { norm, swiglu, mixture } = fusions;
  // Besides the matrix: the step, x and y.
  const bindings = 3 + w.bindingCount + (experts ? 1 : 0) + (norm ? 1 : 0) + (mixture ? 2 : 0);
  if (bindings > gpu.limits.maxStorageBuffersPerShaderStage) return false;
  return !swiglu || experts || w.parts.length === 1;
}

/**
 * `y[t] = W · x[t]` for a few rows of x: the product of decoding, bound by the bytes of W.
 * @param x `[tokens, columns]` f32
 * @param y `[tokens, rows]` f32; half the rows with `swiglu`
 */
export function matvec(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  tokens: number,
  { norm, swiglu, mixture, shape = matvecShape(rec.gpu), ...options }: MatvecOptions = {},
): void {
  const fusions = { norm, swiglu, mixture };
  const outputs = swiglu ? w.rows / 2 : w.rows;
  for (const part of w.parts) {
    const params = productParams(w, part, { stride: outputs, ...options, tokens, eps: norm?.eps });
    const rows = swiglu ? outputs : part.count;
    rec.dispatch(
      variant(rec.gpu, w, shape, fusions, false),
      { ...w.bindings(part), activations: x, products: y, ...fusionBindings(fusions) },
      { ...params, rows },
      foldGrid(rec.gpu, Math.ceil(rows / outputsOf(shape, swiglu)), tokens),
      { weights: w.label, weightBytes: (w.bytes * part.count) / w.rows },
    );
  }
}

/**
 * `y[p] = W[slots[p]] · x[p / xShare]` for routed pairs.
 * @param w stack of experts
 * @param y `[pairs, rows]` f32; half the rows with `swiglu`
 */
export function expertMatvec(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  { slots, pairs, xShare }: Routed,
  { norm, swiglu, gated, shape = matvecShape(rec.gpu) }: Omit<MatvecOptions, 'mixture'> = {},
): void {
  const fusions = { norm, swiglu };
  const rows = swiglu ? w.rows / 2 : w.rows;
  for (const part of w.parts) {
    rec.dispatch(
      variant(rec.gpu, w, shape, fusions, true),
      { ...w.bindings(part), activations: x, products: y, slots, ...fusionBindings(fusions) },
      { ...expertProductParams(w, part, { pairs, xShare, gated, eps: norm?.eps }), rows, row_stride: rows },
      foldGrid(rec.gpu, Math.ceil(rows / outputsOf(shape, swiglu)), pairs),
      { weights: w.label, weightBytes: part.first === 0 ? w.bytes * pairs : 0 },
    );
  }
}

function outputsOf({ rows }: MatvecShape, swiglu = false): number {
  return swiglu ? rows / 2 : rows;
}

function fusionBindings({ norm, mixture }: MatvecFusions): Record<string, Bindable> {
  return {
    ...(norm && { norm: norm.weight }),
    ...(mixture && { expert_outputs: mixture.routed, mixture: mixture.weights }),
  };
}

function variant(
  { capabilities }: Gpu,
  w: WeightMatrix,
  { lanes, rows }: MatvecShape,
  { norm, swiglu = false, mixture }: MatvecFusions,
  experts: boolean,
): ShaderVariant {
  const subgroups = capabilities.subgroups && lanes <= capabilities.subgroupMinSize;
  return {
    name: 'matvec',
    ...w.variant,
    conditions: { subgroups, experts, normed: norm !== undefined, swiglu, mixed: mixture !== undefined },
    constants: { LANES: lanes, ROWS: rows, TOP_K: mixture?.topK ?? 0 },
  };
}

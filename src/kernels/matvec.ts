import type { Bindable, Gpu, Recorder, ShaderVariant } from '../gpu/index.ts';
import { choicesOf } from './choices.ts';
import { foldGrid, isSoftware } from './lanes.ts';
import {
  expertProductCost,
  expertProductParams,
  type ProductOptions,
  productCost,
  productParams,
} from './product-params.ts';
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

/** Shapes that this device can run, the one that is taken unmeasured first. All have an even number of rows. */
export function matvecShapes(gpu: Gpu): readonly MatvecShape[] {
  const { subgroupMinSize: width } = gpu.capabilities;
  // Software adapters like few, fat lanes (docs/measurements/matvec.md).
  if (isSoftware(gpu)) return [16, 8].map((rows) => ({ lanes: width, rows }));
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
  if (tokens === 1 || !isSoftware(gpu)) return shape;
  return { ...shape, rows: Math.max(2, shape.rows / 2 ** Math.ceil(Math.log2(tokens))) };
}

/**
 * Whether products should norm their input, rather than a dispatch before them. Reading the norm's weights for every few rows
 * should cost a GPU's caches little (reasoned, not measured) and saves a dispatch that keeps one workgroup busy; on a processor it
 * made products a quarter slower (25 November 2026, lavapipe).
 */
export function normsInProducts(gpu: Gpu): boolean {
  return !isSoftware(gpu);
}

/** Whether the device binds so many buffers at once, and the matrix is in one piece where it has to be. */
export function canFuse(gpu: Gpu, w: WeightMatrix, { norm, swiglu, mixture }: MatvecFusions, experts = false): boolean {
  const bindings = boundBuffers(w, { mixture, experts }) + (norm ? 1 : 0);
  if (bindings > gpu.limits.maxStorageBuffersPerShaderStage) return false;
  return !swiglu || experts || w.parts.length === 1;
}

/** Storage buffers of a product without norm: the step, x, y and what the matrix and the rest take. */
function boundBuffers(
  w: WeightMatrix,
  { mixture, experts }: { mixture: Mixture | undefined; experts: boolean },
): number {
  return 3 + w.bindingCount + (experts ? 1 : 0) + (mixture ? 2 : 0);
}

/**
 * `y[t] = W · x[t]` for a few rows of x: the product of decoding, bound by the bytes of W. Each row's bits are the same,
 * however many there are.
 * @param x `[tokens, columns]` f32
 * @param y `[tokens, rows]` f32; half the rows with `swiglu`
 */
export function matvec(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  tokens: number,
  { norm, swiglu, mixture, shape: wanted, ...options }: MatvecOptions = {},
): void {
  const outputs = swiglu ? w.rows / 2 : w.rows;
  const together = rec.often && tokens <= MOST_TOGETHER ? tokens : 1;
  const shape = wanted ?? matvecShape(rec.gpu, together);
  const spec = variant(rec.gpu, w, shape, { mixture, experts: false, norm, tokens: together });
  for (const part of w.parts) {
    const params = productParams(w, part, { stride: outputs, ...options, tokens, norm, swiglu });
    const rows = swiglu ? outputs : part.count;
    rec.dispatch(
      spec,
      { ...w.bindings(part), activations: x, products: y, ...normBinding(spec, norm, x), ...mixtureBindings(mixture) },
      { ...params, rows },
      foldGrid(rec.gpu, Math.ceil(rows / outputsOf(shape, swiglu)), tokens / together),
      productCost(w, part, tokens, rows),
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
  const spec = variant(rec.gpu, w, shape, { mixture: undefined, experts: true, norm, tokens: 1 });
  const rows = swiglu ? w.rows / 2 : w.rows;
  for (const part of w.parts) {
    rec.dispatch(
      spec,
      { ...w.bindings(part), activations: x, products: y, slots, ...normBinding(spec, norm, x) },
      { ...expertProductParams(w, part, { pairs, xShare, gated, norm, swiglu }), rows, row_stride: rows },
      foldGrid(rec.gpu, Math.ceil(rows / outputsOf(shape, swiglu)), pairs),
      expertProductCost(w, part, { pairs, read: pairs, outputs: rows }),
    );
  }
}

function outputsOf({ rows }: MatvecShape, swiglu = false): number {
  return swiglu ? rows / 2 : rows;
}

/** A kernel that can norm binds something as the norm's weight also where it is not to. */
function normBinding({ conditions }: ShaderVariant, norm: InputNorm | undefined, x: Bindable): { norm?: Bindable } {
  return conditions?.normed ? { norm: norm?.weight ?? x } : {};
}

function mixtureBindings(mixture: Mixture | undefined): Record<string, Bindable> {
  return mixture ? { expert_outputs: mixture.routed, mixture: mixture.weights } : {};
}

function variant(
  gpu: Gpu,
  w: WeightMatrix,
  { lanes, rows }: MatvecShape,
  {
    norm,
    tokens,
    ...others
  }: { norm: InputNorm | undefined; mixture: Mixture | undefined; experts: boolean; tokens: number },
): ShaderVariant {
  const { subgroups, subgroupMinSize } = gpu.capabilities;
  const mixed = others.mixture !== undefined;
  // Whether it norms is a parameter where it may, since each variant takes long to compile.
  const room = boundBuffers(w, others) < gpu.limits.maxStorageBuffersPerShaderStage;
  const normed = norm !== undefined || (normsInProducts(gpu) && room && !mixed);
  return {
    name: 'matvec',
    ...w.variant,
    conditions: { subgroups: subgroups && lanes <= subgroupMinSize, experts: others.experts, normed, mixed },
    constants: { LANES: lanes, ROWS: rows, TOKENS: tokens, TOP_K: others.mixture?.topK ?? 0 },
  };
}

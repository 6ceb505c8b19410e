import type { Bindable, Gpu, Recorder, ShaderVariant } from '../gpu/index.ts';
import { foldGrid } from './lanes.ts';
import { expertMatvec, matvec, type Routed } from './matvec.ts';
import { expertProductParams, type ProductOptions, productParams } from './product-params.ts';
import type { WeightMatrix } from './weight-matrix.ts';

/** Which product for many tokens, and the rows and tokens a workgroup of it makes. */
export type MatmulShape =
  | { readonly kind: 'tiled'; readonly rows: 32; readonly tokens: 32 }
  | { readonly kind: 'lanes'; readonly lanes: number; readonly rows: number; readonly tokens: number };

/** Tiles in workgroup memory; narrow subgroups are software adapters, for which see `matmul_lanes.wgsl`. */
export function matmulShape({ capabilities }: Gpu): MatmulShape {
  const { subgroups, subgroupMinSize, subgroupMaxSize } = capabilities;
  if (subgroups && subgroupMaxSize <= 8) return { kind: 'lanes', lanes: subgroupMinSize, rows: 16, tokens: 4 };
  return { kind: 'tiled', rows: 32, tokens: 32 };
}

/** Up to this many rows of x, reading W once per row is no slower than tiles that are mostly padding. */
export const MATVEC_TOKENS = 4;

export interface MatmulOptions extends ProductOptions {
  /** Tiles in f16, where the product is tiled. */
  f16?: boolean;
  shape?: MatmulShape;
}

/**
 * `y[t] = W · x[t]`, by the kernel that suits the number of rows.
 * @param x `[tokens, columns]` f32
 * @param y `[tokens, rows]` f32
 */
export function product(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  tokens: number,
  options: Omit<MatmulOptions, 'shape'> = {},
): void {
  if (tokens <= MATVEC_TOKENS) matvec(rec, w, x, y, tokens, options);
  else matmul(rec, w, x, y, tokens, options);
}

/** The product for many rows of x. Arguments as `product`. */
export function matmul(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  tokens: number,
  { f16 = false, shape = matmulShape(rec.gpu), ...options }: MatmulOptions = {},
): void {
  for (const part of w.parts) {
    rec.dispatch(
      variant(w, shape, { f16, experts: false }),
      { ...w.bindings(part), activations: x, products: y },
      productParams(w, part, { tokens, ...options }),
      foldGrid(rec.gpu, Math.ceil(part.count / shape.rows), Math.ceil(tokens / shape.tokens)),
      { weights: w.label, weightBytes: (w.bytes * part.count) / w.rows },
    );
  }
}

/** Routed pairs, with the tiles that `expertGroups` made of them where there are many. */
export interface RoutedTiles extends Routed {
  routing: Bindable;
  maxTiles: number;
  shape: MatmulShape;
}

/**
 * `y[p] = W[slots[p]] · x[p / xShare]`, by the kernel that suits the number of pairs.
 * @param w stack of experts
 * @param y `[pairs, rows]` f32
 */
export function expertProduct(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  routed: Routed | RoutedTiles,
  options: Pick<MatmulOptions, 'f16' | 'gated'> = {},
): void {
  if ('routing' in routed) expertMatmul(rec, w, x, y, routed, options);
  else expertMatvec(rec, w, x, y, routed, options);
}

/** The product over pairs grouped by expert. Arguments as `expertProduct`. */
export function expertMatmul(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  { routing, maxTiles, shape, xShare, pairs }: RoutedTiles,
  { f16 = false, gated }: Pick<MatmulOptions, 'f16' | 'gated'> = {},
): void {
  for (const part of w.parts) {
    rec.dispatch(
      variant(w, shape, { f16, experts: true }),
      { ...w.bindings(part), activations: x, products: y, routing },
      expertProductParams(w, part, { pairs, xShare, gated, maxTiles }),
      foldGrid(rec.gpu, Math.ceil(w.rows / shape.rows), maxTiles),
      { weights: w.label, weightBytes: w.bytes * part.count },
    );
  }
}

function variant(
  w: WeightMatrix,
  shape: MatmulShape,
  { f16, experts }: { f16: boolean; experts: boolean },
): ShaderVariant {
  if (shape.kind === 'tiled') return { name: 'matmul', ...w.variant, conditions: { f16, experts } };
  const constants = { LANES: shape.lanes, ROWS: shape.rows, TOKENS: shape.tokens };
  return { name: 'matmul_lanes', ...w.variant, conditions: { experts }, constants };
}

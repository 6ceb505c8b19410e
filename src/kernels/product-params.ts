import type { DispatchCost } from '../gpu/index.ts';
import type { MatrixPart, WeightMatrix } from './weight-matrix.ts';

/** Where a product goes, and what becomes of what is there. */
export interface ProductOptions {
  /** Adds to y instead of overwriting it. */
  accumulate?: boolean;
  /** y holds a gate and becomes `silu(y) · product`. */
  gated?: boolean;
  /** Floats from one row of y to the next, where y holds several products side by side; default: the matrix's rows. */
  stride?: number;
  /** Place of this product in a row of y. */
  offset?: number;
}

/** What `matvec` does besides. */
export interface ProductFusions {
  norm?: { readonly eps: number };
  swiglu?: boolean;
}

const STORE_MODES = { write: 0, add: 1, gate: 2 } as const;

/** Parameters of `lib/product.wgsl` for the rows of one part of a plain matrix. */
export function productParams(
  w: WeightMatrix,
  part: MatrixPart,
  {
    tokens,
    accumulate,
    gated,
    stride = w.rows,
    offset = 0,
    ...fusions
  }: ProductOptions & ProductFusions & { tokens: number },
): Record<string, number> {
  return {
    rows: part.count,
    chunks: w.chunks,
    row_offset: offset + part.first,
    row_stride: stride,
    mode: storeMode({ accumulate, gated }),
    tokens,
    x_share: 1,
    first_slot: 0,
    slot_count: 0,
    max_tiles: 0,
    ...fusionParams(fusions),
  };
}

/** The same for routed pairs and the slots that one part of a stack holds. @param maxTiles 0 where pairs are not in tiles */
export function expertProductParams(
  w: WeightMatrix,
  part: MatrixPart,
  {
    pairs,
    xShare,
    gated,
    maxTiles = 0,
    ...fusions
  }: Pick<ProductOptions, 'gated'> & ProductFusions & { pairs: number; xShare: number; maxTiles?: number },
): Record<string, number> {
  return {
    rows: w.rows,
    chunks: w.chunks,
    row_offset: 0,
    row_stride: w.rows,
    mode: storeMode({ gated }),
    tokens: pairs,
    x_share: xShare,
    first_slot: part.first,
    slot_count: part.count,
    max_tiles: maxTiles,
    ...fusionParams(fusions),
  };
}

/** What the rows of one part cost: x is read once, whoever shares it. @param outputs floats of a row of y */
export function productCost(w: WeightMatrix, part: MatrixPart, tokens: number, outputs = part.count): DispatchCost {
  return {
    weights: w.label,
    weightBytes: (w.bytes * part.count) / w.rows,
    bytes: 4 * tokens * (w.columns + outputs),
    flops: 2 * tokens * part.count * w.columns,
  };
}

/**
 * What routed pairs cost, all counted with the first part of the stack, since which part serves a pair is known to the GPU alone.
 * @param read experts that are read, at most: one a pair, or where pairs are grouped, each once
 */
export function expertProductCost(
  w: WeightMatrix,
  part: MatrixPart,
  { pairs, read, outputs = w.rows }: { pairs: number; read: number; outputs?: number },
): DispatchCost {
  if (part.first > 0) return { weights: w.label };
  return {
    weights: w.label,
    weightBytes: w.bytes * read,
    bytes: 4 * pairs * (w.columns + outputs),
    flops: 2 * pairs * w.rows * w.columns,
  };
}

function fusionParams({ norm, swiglu }: ProductFusions): Record<string, number> {
  return { norms: Number(norm !== undefined), eps: norm?.eps ?? 0, swiglu: Number(swiglu ?? false) };
}

function storeMode({ accumulate, gated }: Pick<ProductOptions, 'accumulate' | 'gated'>): number {
  if (accumulate && gated) throw new Error('a product either adds or is gated');
  if (accumulate) return STORE_MODES.add;
  return gated ? STORE_MODES.gate : STORE_MODES.write;
}

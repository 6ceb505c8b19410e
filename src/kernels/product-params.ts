import type { MatrixPart, WeightMatrix } from './weight-matrix.ts';

/** Parameters of `lib/product.wgsl` for the rows of one part of a plain matrix. */
export function productParams(
  w: WeightMatrix,
  part: MatrixPart,
  { tokens, accumulate, stride, offset }: { tokens: number; accumulate: boolean; stride: number; offset: number },
): Record<string, number> {
  return {
    rows: part.count,
    chunks: w.chunks,
    row_offset: offset + part.first,
    row_stride: stride,
    accumulate: Number(accumulate),
    tokens,
    x_share: 1,
    first_slot: 0,
    slot_count: 0,
    max_tiles: 0,
  };
}

/** The same for routed pairs and the slots that one part of a stack holds. @param maxTiles 0 where pairs are not in tiles */
export function expertProductParams(
  w: WeightMatrix,
  part: MatrixPart,
  { pairs, xShare, maxTiles = 0 }: { pairs: number; xShare: number; maxTiles?: number },
): Record<string, number> {
  return {
    rows: w.rows,
    chunks: w.chunks,
    row_offset: 0,
    row_stride: w.rows,
    accumulate: 0,
    tokens: pairs,
    x_share: xShare,
    first_slot: part.first,
    slot_count: part.count,
    max_tiles: maxTiles,
  };
}

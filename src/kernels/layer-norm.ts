import type { Bindable, Recorder } from '../gpu/index.ts';
import { reductionLanes } from './lanes.ts';

export interface LayerNormOptions {
  rows: number;
  columns: number;
  eps: number;
  /** Floats from one row of x (y) to the next; default: the columns. */
  xStride?: number;
  yStride?: number;
}

/** `y[t] = (x[t] − mean) / sqrt(variance + eps) · w + b`. @param affine `[2, columns]` f32: w, then b */
export function layerNorm(
  rec: Recorder,
  x: Bindable,
  affine: Bindable,
  y: Bindable,
  { rows, columns, eps, xStride = columns, yStride = columns }: LayerNormOptions,
): void {
  rec.dispatch(
    { name: 'layer_norm', constants: { LANES: reductionLanes(rec.gpu) } },
    { x, affine, y },
    { columns: columns / 4, x_stride: xStride / 4, y_stride: yStride / 4, eps },
    [rows],
  );
}

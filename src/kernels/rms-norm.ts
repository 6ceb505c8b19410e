import type { Bindable, Recorder } from '../gpu/index.ts';
import { reductionLanes } from './lanes.ts';

export interface RmsNormOptions {
  /** Rows of y. */
  rows: number;
  columns: number;
  eps: number;
  /** Row of x that becomes y's first. */
  first?: number;
}

/** `y[t] = rms(x[first + t]) · weight`. @param x `[.., columns]` f32 @param y `[rows, columns]` f32 */
export function rmsNorm(
  rec: Recorder,
  x: Bindable,
  weight: Bindable,
  y: Bindable,
  { rows, columns, eps, first = 0 }: RmsNormOptions,
): void {
  rec.dispatch(
    { name: 'rms_norm', constants: { LANES: reductionLanes(rec.gpu) } },
    { x, weight, y },
    { columns: columns / 4, first, eps },
    [rows],
    { bytes: 4 * columns * (2 * rows + 1), flops: 4 * rows * columns },
  );
}

import type { Bindable, Recorder } from '../gpu/index.ts';
import { foldGrid } from './lanes.ts';

/** `y = silu(gate) · up` of gate and up side by side. @param gateUp `[rows, 2·columns]` f32 @param y `[rows, columns]` f32 */
export function swiglu(rec: Recorder, gateUp: Bindable, y: Bindable, rows: number, columns: number): void {
  const vectors = columns / 4;
  const count = rows * vectors;
  rec.dispatch(
    { name: 'swiglu' },
    { gate_up: gateUp, y },
    { columns: vectors, count },
    foldGrid(rec.gpu, Math.ceil(count / 64)),
    { bytes: 12 * rows * columns, flops: 5 * rows * columns },
  );
}

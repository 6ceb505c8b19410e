import type { Bindable, Recorder } from '../gpu/index.ts';
import { foldGrid } from './lanes.ts';

/** `y = silu(gate) · up`. @param gate, up, y `[rows, columns]` f32 */
export function swiglu(rec: Recorder, gate: Bindable, up: Bindable, y: Bindable, rows: number, columns: number): void {
  const c = columns / 4;
  dispatch(rec, { gate, up, y }, rows, { columns: c, gate_stride: c, up_stride: c, up_offset: 0 });
}

/** The same for gate and up side by side in one row. @param gateUp `[rows, 2·columns]` @param y `[rows, columns]` f32 */
export function swigluFused(rec: Recorder, gateUp: Bindable, y: Bindable, rows: number, columns: number): void {
  const c = columns / 4;
  dispatch(rec, { gate: gateUp, up: gateUp, y }, rows, {
    columns: c,
    gate_stride: 2 * c,
    up_stride: 2 * c,
    up_offset: c,
  });
}

function dispatch(
  rec: Recorder,
  bindings: { gate: Bindable; up: Bindable; y: Bindable },
  rows: number,
  layout: { columns: number; gate_stride: number; up_stride: number; up_offset: number },
): void {
  const count = rows * layout.columns;
  rec.dispatch({ name: 'swiglu' }, bindings, { ...layout, count }, foldGrid(rec.gpu, Math.ceil(count / 64)));
}

import type { Bindable, Recorder } from '../gpu/index.ts';
import type { WeightMatrix } from './weight-matrix.ts';

/** `x[t] = W[tokens[t]]`, dequantised. @param tokens `[T]` u32 @param x `[T, columns]` f32 */
export function embed(rec: Recorder, w: WeightMatrix, tokens: Bindable, x: Bindable, count: number): void {
  for (const part of w.parts) {
    rec.dispatch(
      { name: 'embed', ...w.variant },
      { ...w.bindings(part), tokens, x },
      { chunks: w.chunks, first_row: part.first, rows: part.count },
      [Math.ceil(w.chunks / 64), count],
      part.first === 0 ? { weightBytes: (count * w.bytes) / w.rows, bytes: 4 * count * (1 + w.columns) } : {},
    );
  }
}

import type { Bindable, Recorder } from '../gpu/index.ts';
import { CHUNK } from '../weights/quant-layout.ts';
import { foldGrid } from './lanes.ts';

/** As in `quantize_activations.wgsl`. */
const LANES = 64;

/** Bytes of so many values, in rows of whole chunks. */
export function quantizedBytes(values: number): number {
  return 2 * values;
}

/**
 * Rounds to 8 bits, with a scale for each 32 values.
 * @param x `[values]` f32
 * @param quantized out: `[values / 32, 8, 2]` u32, see the shader
 */
export function quantizeActivations(rec: Recorder, x: Bindable, quantized: Bindable, values: number): void {
  const chunks = values / CHUNK;
  const grid = foldGrid(rec.gpu, Math.ceil(chunks / LANES));
  rec.dispatch({ name: 'quantize_activations' }, { x, quantized }, { chunks }, grid, {
    bytes: 4 * values + quantizedBytes(values),
  });
}

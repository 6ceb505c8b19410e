import { expect, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { expectClose, openTestGpu, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal } from '../../tools/testing/random.ts';
import { layerNorm } from './layer-norm.ts';

const gpu = await openTestGpu();
const buffers = useBuffers(gpu);

function reference(x: ArrayLike<number>, affine: Float32Array, columns: number, eps: number): number[] {
  const row = Array.from(x);
  const mean = row.reduce((sum, v) => sum + v, 0) / columns;
  const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / columns;
  return row.map((v, c) => ((v - mean) / Math.sqrt(variance + eps)) * affine[c] + affine[columns + c]);
}

test.each([
  { rows: 1, columns: 4, mean: 0 },
  { rows: 5, columns: 144, mean: 0 },
  { rows: 33, columns: 1152, mean: 3 },
  { rows: 3, columns: 260, mean: 300 }, // the mean's square is 90,000 times the variance
])('normalises $rows rows of $columns columns around $mean', async ({ rows, columns, mean }) => {
  const [xStride, yStride] = [columns + 16, columns + 8];
  const x = randomNormal(rows + columns, rows * xStride, 1, mean);
  const affine = randomNormal(3, 2 * columns, 0.5, 1);
  const y = buffers.output(rows * yStride);
  await run(gpu, (rec) =>
    layerNorm(rec, buffers.floats(x), buffers.floats(affine), y, { rows, columns, eps: 1e-6, xStride, yStride }),
  );
  const actual = await readFloats(gpu, y, rows * yStride);
  for (let t = 0; t < rows; t++) {
    const row = actual.subarray(t * yStride, (t + 1) * yStride);
    const expected = reference(x.subarray(t * xStride, t * xStride + columns), affine, columns, 1e-6);
    // A mean of 300 leaves a rounding of 2^-16 in each difference.
    expectClose(row.subarray(0, columns), expected, mean > 100 ? 1e-4 : 1e-5);
    expect(row.subarray(columns).every(Number.isNaN)).toBe(true);
  }
});

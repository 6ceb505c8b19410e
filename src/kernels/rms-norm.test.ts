import { expect, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { expectClose, openTestGpu, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal } from '../../tools/testing/random.ts';
import { rmsNorm } from './rms-norm.ts';

const gpu = await openTestGpu();
const buffers = useBuffers(gpu);

function reference(x: Float32Array, weight: Float32Array, eps: number): number[] {
  const columns = weight.length;
  return Array.from(x, (v, i) => {
    const row = x.subarray(i - (i % columns), i - (i % columns) + columns);
    const mean = row.reduce((sum, u) => sum + u * u, 0) / columns;
    return (v / Math.sqrt(mean + eps)) * weight[i % columns];
  });
}

const cases = [
  { rows: 1, columns: 4, std: 1 },
  { rows: 1, columns: 128, std: 1 },
  { rows: 5, columns: 260, std: 30 },
  { rows: 33, columns: 1024, std: 1 },
  { rows: 3, columns: 5120, std: 1000 },
  { rows: 2, columns: 256, std: 1e-3 }, // eps counts as much as the mean of squares
  { rows: 2, columns: 256, std: 0 },
];
test.each(cases)('normalises $rows rows of $columns columns around $std', async ({ rows, columns, std }) => {
  const x = randomNormal(rows + columns, rows * columns, std);
  const weight = randomNormal(3, columns, 0.2, 1);
  const y = buffers.output(rows * columns);
  await run(gpu, (rec) => rmsNorm(rec, buffers.floats(x), buffers.floats(weight), y, { rows, columns, eps: 1e-6 }));
  expectClose(await readFloats(gpu, y, rows * columns), reference(x, weight, 1e-6));
});

test('normalises the rows from `first` on and writes no others', async () => {
  const [rows, columns, first] = [2, 64, 3];
  const x = randomNormal(1, 6 * columns);
  const weight = randomNormal(2, columns);
  const y = buffers.output(3 * columns);
  await run(gpu, (rec) =>
    rmsNorm(rec, buffers.floats(x), buffers.floats(weight), y, { rows, columns, eps: 1e-6, first }),
  );
  const actual = await readFloats(gpu, y, 3 * columns);
  const wanted = x.subarray(first * columns, (first + rows) * columns);
  expectClose(actual.subarray(0, rows * columns), reference(wanted, weight, 1e-6));
  expect(actual.subarray(rows * columns).every(Number.isNaN)).toBe(true);
});

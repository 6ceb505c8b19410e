import { test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { expectClose, openTestGpu, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal } from '../../tools/testing/random.ts';
import { swiglu } from './swiglu.ts';

const gpu = await openTestGpu();
const buffers = useBuffers(gpu);

const silu = (x: number) => x / (1 + Math.exp(-x));

test.each([
  { rows: 1, columns: 4 },
  { rows: 1, columns: 260 },
  { rows: 33, columns: 64 },
  { rows: 5, columns: 3584 },
])('gates $rows rows of $columns columns beside each other', async ({ rows, columns }) => {
  const both = randomNormal(1, 2 * rows * columns, 3);
  const y = buffers.output(rows * columns);
  await run(gpu, (rec) => swiglu(rec, buffers.floats(both), y, rows, columns));
  const expected = Array.from({ length: rows * columns }, (_, i) => {
    const at = Math.floor(i / columns) * 2 * columns + (i % columns);
    return silu(both[at]) * both[at + columns];
  });
  expectClose(await readFloats(gpu, y, rows * columns), expected);
});

test('is finite for gates of any size', async () => {
  const gate = Float32Array.from([-1e30, -1000, -104, -89, 88, 104, 1000, 1e30]);
  const y = buffers.output(gate.length);
  const both = buffers.floats([...gate, ...gate.map(() => 1)]);
  await run(gpu, (rec) => swiglu(rec, both, y, 1, gate.length));
  const actual = await readFloats(gpu, y, gate.length);
  // Below −88 what is expected is 0: the exact value is smaller than 1e-36.
  expectClose(
    actual.map((v, i) => v / Math.max(1, Math.abs(gate[i]))),
    Array.from(gate, (g) => Number(g > 0)),
  );
});

test('folds a grid beyond 65,535 workgroups', async () => {
  const [rows, columns] = [65_536, 256]; // as much as a binding of 128 MiB holds
  const gate = randomNormal(1, columns, 3);
  const up = randomNormal(2, rows);
  const both = new Float32Array(2 * rows * columns);
  for (let row = 0; row < rows; row++) {
    both.set(gate, 2 * row * columns);
    both.fill(up[row], (2 * row + 1) * columns, (2 * row + 2) * columns);
  }
  const y = buffers.output(rows * columns);
  await run(gpu, (rec) => swiglu(rec, buffers.floats(both), y, rows, columns));
  const last = (rows - 2) * columns;
  const actual = (await readFloats(gpu, y, rows * columns)).subarray(last);
  expectClose(
    actual,
    Array.from(actual, (_, i) => silu(gate[i % columns]) * up[Math.floor((last + i) / columns)]),
  );
});

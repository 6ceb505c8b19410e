import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dequantizable, dequantize } from '../../tools/testing/dequantize.ts';
import {
  expectClose,
  openTestGpu,
  randomMatrix,
  readFloats,
  run,
  subgroupVariants,
} from '../../tools/testing/kernels.ts';
import { randomNormal } from '../../tools/testing/random.ts';
import type { Gpu } from '../gpu/index.ts';
import { expertMatvec, matvec } from './matvec.ts';

/** Float64 products of rows `[rows, columns]` with one x. */
function product(w: Float64Array, x: Float32Array, rows: number, columns: number, wAt = 0, xAt = 0): number[] {
  return Array.from({ length: rows }, (_, r) => {
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += w[wAt + r * columns + c] * x[xAt + c];
    return sum;
  });
}

describe.each(subgroupVariants)('matvec $title', ({ without }) => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openTestGpu(without);
  });
  afterAll(() => {
    expect(gpu.liveBuffers).toBeLessThanOrEqual(6); // the codebooks, which live as long as the device
    gpu.dispose();
  });

  const shapes = [
    { rows: 1, columns: 256, tokens: 1 },
    { rows: 37, columns: 512, tokens: 3 },
  ];
  test.each(dequantizable.flatMap((type) => shapes.map((shape) => ({ type, ...shape }))))(
    '$type: [$rows, $columns] times $tokens rows',
    async ({ type, rows, columns, tokens }) => {
      const { matrix, bytes } = await randomMatrix(gpu, type, [rows, columns], rows + columns);
      const x = randomNormal(7, tokens * columns);
      const xBuffer = gpu.upload('x', x);
      const y = gpu.createBuffer('y', tokens * rows * 4);
      await run(gpu, (rec) => matvec(rec, matrix, xBuffer, y, tokens));
      const w = dequantize(type, bytes);
      const expected = Array.from({ length: tokens }, (_, t) => product(w, x, rows, columns, 0, t * columns)).flat();
      expectClose(await readFloats(gpu, y, tokens * rows), expected);
      for (const owner of [matrix, xBuffer, y]) owner.dispose();
    },
  );

  test.each(['Q4_K', 'Q8_0', 'F16'] as const)('%s: rows split over bindings give the same product', async (type) => {
    const [rows, columns] = [50, 256];
    const { matrix, bytes } = await randomMatrix(gpu, type, [rows, columns], 3, 4096);
    expect(matrix.parts.length).toBeGreaterThan(1);
    const x = randomNormal(9, columns);
    const xBuffer = gpu.upload('x', x);
    const y = gpu.createBuffer('y', rows * 4);
    await run(gpu, (rec) => matvec(rec, matrix, xBuffer, y, 1));
    expectClose(await readFloats(gpu, y, rows), product(dequantize(type, bytes), x, rows, columns));
    for (const owner of [matrix, xBuffer, y]) owner.dispose();
  });

  test('adds to y when accumulating', async () => {
    const { matrix, bytes } = await randomMatrix(gpu, 'Q8_0', [5, 64], 3);
    const x = randomNormal(9, 64);
    const before = randomNormal(10, 5);
    const xBuffer = gpu.upload('x', x);
    const y = gpu.upload('y', before);
    await run(gpu, (rec) => matvec(rec, matrix, xBuffer, y, 1, { accumulate: true }));
    const expected = product(dequantize('Q8_0', bytes), x, 5, 64).map((v, i) => v + before[i]);
    expectClose(await readFloats(gpu, y, 5), expected);
    for (const owner of [matrix, xBuffer, y]) owner.dispose();
  });

  test.each([undefined, 10_000])('multiplies each routed pair by its expert (binding limit %s)', async (limit) => {
    const [slots, rows, columns] = [6, 33, 256];
    const { matrix, bytes } = await randomMatrix(gpu, 'Q4_K', [slots, rows, columns], 4, limit);
    if (limit) expect(matrix.parts.length).toBeGreaterThan(1);
    const chosen = [5, 0, 2, 2, 4, 1];
    const x = randomNormal(9, 2 * columns);
    const xBuffer = gpu.upload('x', x);
    const slotBuffer = gpu.upload('slots', new Uint32Array(chosen));
    const y = gpu.createBuffer('y', chosen.length * rows * 4);
    await run(gpu, (rec) => expertMatvec(rec, matrix, xBuffer, y, { slots: slotBuffer, pairs: 6, xShare: 3 }));
    const w = dequantize('Q4_K', bytes);
    const expected = chosen.flatMap((slot, p) =>
      product(w, x, rows, columns, slot * rows * columns, Math.floor(p / 3) * columns),
    );
    expectClose(await readFloats(gpu, y, expected.length), expected);
    for (const owner of [matrix, xBuffer, slotBuffer, y]) owner.dispose();
  });
});

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
import { randomBlocks, randomNormal, toHalf } from '../../tools/testing/random.ts';
import type { Gpu } from '../gpu/index.ts';
import { quantTypes } from '../weights/quant-types.ts';
import { expertMatvec, matvec } from './matvec.ts';
import { StagingBuffer, WeightMatrix } from './weight-matrix.ts';

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

  // How the rows are summed does not touch how weights are decoded, and each kernel costs a software adapter a second.
  const types = without.length === 0 ? dequantizable : dequantizable.filter((type) => /F32|Q4_K|Q8_0|MXFP4/.test(type));
  const shapes = [
    { rows: 1, columns: 256, tokens: 1 },
    { rows: 37, columns: 512, tokens: 3 },
    { rows: 5, columns: 8448, tokens: 2 }, // more chunks than a workgroup has lanes, on any adapter
  ];
  test.each(types.flatMap((type) => shapes.map((shape) => ({ type, ...shape }))))(
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

  test.each([2, 3, 4])('%i rows of x at once give the bits of each alone', async (tokens) => {
    const [rows, columns] = [37, 512];
    const { matrix } = await randomMatrix(gpu, 'F16', [rows, columns], 3);
    const x = gpu.upload('x', randomNormal(7, tokens * columns));
    const [together, apart] = ['together', 'apart'].map((label) => gpu.createBuffer(label, tokens * rows * 4));
    await run(gpu, (rec) => matvec(rec, matrix, x, together, tokens), { often: true });
    await run(gpu, (rec) => matvec(rec, matrix, x, apart, tokens));
    const [ours, theirs] = [await gpu.read(together), await gpu.read(apart)].map((bytes) => new Uint32Array(bytes));
    expect(ours).toEqual(theirs);
    for (const owner of [matrix, x, together, apart]) owner.dispose();
  });

  test.each(types)('%s: written in pieces, every weight is exactly the float32 of the reference', async (type) => {
    // Odd numbers of blocks a row and of rows, so that the last group of blocks is not whole.
    const rows = 13;
    const columns = quantTypes[type].blockWeights === 256 ? 256 : 96;
    const bytes = randomBlocks(type, rows * columns, 11);
    const matrix = WeightMatrix.allocate(gpu, type, type, [rows, columns]);
    const staging = new StagingBuffer(gpu, bytes.byteLength);
    const secondPiece = (8 / rows) * bytes.byteLength;
    await matrix.write(gpu, staging, 8, bytes.subarray(secondPiece));
    await matrix.write(gpu, staging, 0, bytes.subarray(0, secondPiece));
    // Times the identity: row t of y is column t of W, to which the other columns add zeros.
    const identity = Float32Array.from({ length: columns ** 2 }, (_, i) => Number(i % (columns + 1) === 0));
    const x = gpu.upload('x', identity);
    const y = gpu.createBuffer('y', rows * columns * 4);
    await run(gpu, (rec) => matvec(rec, matrix, x, y, columns));
    const transposed = await readFloats(gpu, y, rows * columns);
    const values = Float32Array.from(
      transposed,
      (_, i) => transposed[(i % columns) * rows + Math.floor(i / columns)] + 0,
    );
    expect(values).toEqual(Float32Array.from(dequantize(type, bytes), (v) => v + 0)); // + 0: either zero will do
    for (const owner of [matrix, staging, x, y]) owner.dispose();
  });

  test('takes half-precision scales as they are, the smallest and the negative too', async () => {
    const scales = [2 ** -24, 3 * 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 65504, 0].flatMap((d) => [d, -d]);
    const bytes = new Uint8Array(scales.length * 34).fill(1);
    scales.forEach((d, i) => {
      new DataView(bytes.buffer).setUint16(34 * i, toHalf(d), true);
    });
    const matrix = WeightMatrix.allocate(gpu, 'scales', 'Q8_0', [scales.length, 32]);
    const staging = new StagingBuffer(gpu, bytes.byteLength);
    await matrix.write(gpu, staging, 0, bytes);
    const x = gpu.upload('x', new Float32Array(32).fill(1));
    const y = gpu.createBuffer('y', scales.length * 4);
    await run(gpu, (rec) => matvec(rec, matrix, x, y, 1));
    expect(Array.from(await readFloats(gpu, y, scales.length), (v) => v + 0)).toEqual(scales.map((d) => 32 * d + 0));
    for (const owner of [matrix, staging, x, y]) owner.dispose();
  });

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

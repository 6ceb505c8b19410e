import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { TestBuffers } from '../../tools/testing/buffers.ts';
import { dequantize } from '../../tools/testing/dequantize.ts';
import {
  expectClose,
  openTestGpu,
  randomMatrix,
  readFloats,
  run,
  subgroupVariants,
} from '../../tools/testing/kernels.ts';
import { randomBlocks, randomNormal } from '../../tools/testing/random.ts';
import type { Gpu } from '../gpu/index.ts';
import type { TensorType } from '../weights/types.ts';
import { canFuse, expertMatvec, matvec } from './matvec.ts';
import { canJoin, StagingBuffer, WeightMatrix } from './weight-matrix.ts';

const EPS = 1e-6;
const silu = (v: number) => v / (1 + Math.exp(-v));

/** Rows of x, normed in float64. */
function normedRows(x: Float32Array, weight: Float32Array): Float64Array {
  const columns = weight.length;
  return Float64Array.from(x, (v, i) => {
    const row = x.subarray(i - (i % columns), i - (i % columns) + columns);
    const mean = row.reduce((sum, u) => sum + u * u, 0) / columns;
    return (v / Math.sqrt(mean + EPS)) * weight[i % columns];
  });
}

function dot(w: Float64Array, row: number, x: ArrayLike<number>, t: number, columns: number): number {
  let sum = 0;
  for (let c = 0; c < columns; c++) sum += w[row * columns + c] * x[t * columns + c];
  return sum;
}

describe.each(subgroupVariants)('what a product does besides, $title', ({ without }) => {
  let gpu: Gpu;
  let buffers: TestBuffers;
  beforeAll(async () => {
    gpu = await openTestGpu(without);
    buffers = new TestBuffers(gpu);
  });
  afterEach(() => {
    buffers.dispose();
    expect(gpu.liveBuffers).toBe(0);
  });
  afterAll(() => gpu.dispose());

  const matrixOf = async (type: TensorType, shape: readonly number[], seed: number) => {
    const { matrix, bytes } = await randomMatrix(gpu, type, shape, seed);
    return { matrix: buffers.own(matrix), w: dequantize(type, bytes) };
  };

  test.each([
    { type: 'Q4_K', rows: 37, columns: 256, tokens: 1 },
    { type: 'F32', rows: 5, columns: 8448, tokens: 2 },
    { type: 'Q8_0', rows: 1, columns: 96, tokens: 3 },
  ] as const)('norms x on the way: $type [$rows, $columns], $tokens rows', async (size) => {
    const { type, rows, columns, tokens } = size;
    const { matrix, w } = await matrixOf(type, [rows, columns], 3);
    const x = randomNormal(7, tokens * columns, 0.01);
    const weight = randomNormal(8, columns, 0.3, 1);
    const y = buffers.output(tokens * (rows + 3));
    const norm = { weight: buffers.floats(weight), eps: EPS };
    await run(gpu, (rec) => matvec(rec, matrix, buffers.floats(x), y, tokens, { norm, stride: rows + 3, offset: 2 }));
    const h = normedRows(x, weight);
    const actual = await readFloats(gpu, y, tokens * (rows + 3));
    const expected = Array.from(actual, (_, i) => {
      const [t, r] = [Math.floor(i / (rows + 3)), (i % (rows + 3)) - 2];
      return r < 0 || r >= rows ? Number.NaN : dot(w, r, h, t, columns);
    });
    expect(Array.from(actual, Number.isNaN)).toEqual(expected.map(Number.isNaN));
    expectClose(
      actual.filter((v) => !Number.isNaN(v)),
      expected.filter((v) => !Number.isNaN(v)),
    );
  });

  test('a row of zeros stays one', async () => {
    const { matrix } = await matrixOf('Q8_0', [5, 64], 3);
    const y = buffers.output(5);
    const norm = { weight: buffers.floats(randomNormal(8, 64)), eps: EPS };
    await run(gpu, (rec) => matvec(rec, matrix, buffers.floats(new Float32Array(64)), y, 1, { norm }));
    expectClose(await readFloats(gpu, y, 5), [0, 0, 0, 0, 0]);
  });

  test.each([
    { type: 'Q4_K', width: 27, columns: 256, tokens: 2, norms: true },
    { type: 'F32', width: 8, columns: 96, tokens: 1, norms: false },
    { type: 'Q8_0', width: 1, columns: 512, tokens: 3, norms: true },
  ] as const)('gates the ups: $type [2 · $width, $columns], $tokens rows, norm $norms', async (size) => {
    const { type, width, columns, tokens, norms } = size;
    const { matrix, w } = await matrixOf(type, [2 * width, columns], 3);
    const x = randomNormal(7, tokens * columns);
    const weight = norms ? randomNormal(8, columns, 0.3, 1) : undefined;
    const norm = weight && { weight: buffers.floats(weight), eps: EPS };
    const y = buffers.output(tokens * width);
    await run(gpu, (rec) => matvec(rec, matrix, buffers.floats(x), y, tokens, { norm, swiglu: true }));
    const h = weight ? normedRows(x, weight) : x;
    const expected = Array.from({ length: tokens * width }, (_, i) => {
      const [t, r] = [Math.floor(i / width), i % width];
      return silu(dot(w, r, h, t, columns)) * dot(w, width + r, h, t, columns);
    });
    expectClose(await readFloats(gpu, y, expected.length), expected);
  });

  test('gates what an earlier product left', async () => {
    const { matrix, w } = await matrixOf('Q8_0', [13, 64], 3);
    const x = randomNormal(7, 2 * 64);
    const gates = randomNormal(9, 2 * 13, 3);
    const y = buffers.floats(gates);
    await run(gpu, (rec) => matvec(rec, matrix, buffers.floats(x), y, 2, { gated: true }));
    const expected = Array.from(gates, (g, i) => silu(g) * dot(w, i % 13, x, Math.floor(i / 13), 64));
    expectClose(await readFloats(gpu, y, 26), expected);
  });

  test.each([
    { tokens: 1, topK: 1, rows: 37 },
    { tokens: 3, topK: 5, rows: 20 },
  ])('adds $topK routed experts and itself to $tokens rows of $rows', async ({ tokens, topK, rows }) => {
    const columns = 64;
    const { matrix, w } = await matrixOf('Q8_0', [rows, columns], 3);
    const x = randomNormal(7, tokens * columns);
    const before = randomNormal(9, tokens * rows);
    const routed = randomNormal(10, tokens * topK * rows);
    const weights = randomNormal(11, tokens * (topK + 1));
    const y = buffers.floats(before);
    const mixture = { routed: buffers.floats(routed), weights: buffers.floats(weights), topK };
    await run(gpu, (rec) => matvec(rec, matrix, buffers.floats(x), y, tokens, { mixture }));
    const expected = Array.from(before, (v, i) => {
      const [t, r] = [Math.floor(i / rows), i % rows];
      let sum = v + weights[t * (topK + 1) + topK] * dot(w, r, x, t, columns);
      for (let k = 0; k < topK; k++) sum += weights[t * (topK + 1) + k] * routed[(t * topK + k) * rows + r];
      return sum;
    });
    expectClose(await readFloats(gpu, y, expected.length), expected);
  });

  test.each([undefined, 10_000])('gates and norms for routed pairs (binding limit %s)', async (limit) => {
    const [slots, width, columns] = [6, 17, 256];
    const { matrix, bytes } = await randomMatrix(gpu, 'Q4_K', [slots, 2 * width, columns], 4, limit);
    buffers.own(matrix);
    if (limit) expect(matrix.parts.length).toBeGreaterThan(1);
    const w = dequantize('Q4_K', bytes);
    const chosen = [5, 0, 2, 2, 4, 1];
    const x = randomNormal(9, 2 * columns);
    const weight = randomNormal(8, columns, 0.3, 1);
    const y = buffers.output(chosen.length * width);
    const routed = { slots: buffers.words(chosen), pairs: 6, xShare: 3 };
    const norm = { weight: buffers.floats(weight), eps: EPS };
    await run(gpu, (rec) => expertMatvec(rec, matrix, buffers.floats(x), y, routed, { norm, swiglu: true }));
    const h = normedRows(x, weight);
    const expected = chosen.flatMap((slot, p) =>
      Array.from({ length: width }, (_, r) => {
        const row = slot * 2 * width + r;
        const t = Math.floor(p / 3);
        return silu(dot(w, row, h, t, columns)) * dot(w, row + width, h, t, columns);
      }),
    );
    expectClose(await readFloats(gpu, y, expected.length), expected);
  });

  if (without.length > 0) return; // how weights are laid out does not depend on how rows are summed

  test('a device that binds few buffers does without the fusions that need more', async () => {
    const { matrix } = await matrixOf('Q6_K', [4, 256], 1); // three planes
    const of = (maxStorageBuffersPerShaderStage: number) =>
      ({ limits: { maxStorageBuffersPerShaderStage } }) as Pick<Gpu, 'limits'> as Gpu;
    const norm = { weight: buffers.output(256), eps: EPS };
    const mixture = { routed: buffers.output(4), weights: buffers.output(4), topK: 1 };
    expect(canFuse(of(8), matrix, { norm, swiglu: true }, true)).toBe(true);
    expect(canFuse(of(8), matrix, { mixture })).toBe(true);
    expect(canFuse(of(7), matrix, { mixture })).toBe(false);
    expect(canFuse(of(8), matrix, { mixture, norm })).toBe(false);
  });

  test.each(['Q8_0', 'F16'] as const)(
    '%s: two tensors share a stack, read in pieces of slots and in single slots',
    async (type) => {
      const [slots, rows, columns] = [5, 8, 256];
      const matrix = buffers.own(WeightMatrix.allocate(gpu, type, type, [slots, 2 * rows, columns], 8192));
      const each = randomBlocks(type, rows * columns, 1).byteLength;
      const tensors = [1, 2].map((seed) => randomBlocks(type, slots * rows * columns, seed));
      const staging = buffers.own(new StagingBuffer(gpu, slots * each));
      for (const [i, bytes] of tensors.entries()) {
        const range = { first: i * rows, count: rows };
        // A piece ends within a slot, the next goes on there.
        const cut = 2.5 * each;
        await matrix.write(gpu, staging, 2.5 * rows, bytes.subarray(cut, 4 * each), range);
        await matrix.write(gpu, staging, 0, bytes.subarray(0, cut), range);
        await matrix.write(gpu, staging, 4 * rows, bytes.subarray(4 * each), range);
      }
      const x = randomNormal(3, columns);
      const y = buffers.output(slots * 2 * rows);
      const routed = { slots: buffers.words([...Array(slots).keys()]), pairs: slots, xShare: slots };
      await run(gpu, (rec) => expertMatvec(rec, matrix, buffers.floats(x), y, routed));
      const weights = tensors.map((bytes) => dequantize(type, bytes));
      const expected = Array.from({ length: slots * 2 * rows }, (_, i) => {
        const [slot, row] = [Math.floor(i / (2 * rows)), i % (2 * rows)];
        return dot(weights[Math.floor(row / rows)], slot * rows + (row % rows), x, 0, columns);
      });
      expectClose(await readFloats(gpu, y, expected.length), expected);
    },
  );

  test('rows join where groups of blocks begin and one binding holds them all', () => {
    const { maxStorageBufferBindingSize, maxBufferSize } = gpu.limits;
    const most = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    expect(canJoin(gpu, 'Q8_0', 32, 2, 1)).toBe(true);
    expect(canJoin(gpu, 'Q8_0', 32, 3, 1)).toBe(false); // two blocks a group
    expect(canJoin(gpu, 'F16', 32, 3, 1)).toBe(true); // not repacked
    expect(canJoin(gpu, 'F32', 32, most / 128 - 1, 1)).toBe(true);
    expect(canJoin(gpu, 'F32', 32, most / 128, 1)).toBe(false);
  });
});

import { describe, expect, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { expectClose, openTestGpu, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal } from '../../tools/testing/random.ts';
import { argmax, argmaxBytes, mtpJoin } from './mtp.ts';

const gpu = await openTestGpu();
const buffers = useBuffers(gpu);

const EPS = 1e-6;

function rms(row: ArrayLike<number>, weight: ArrayLike<number>): number[] {
  const values = Array.from(row);
  const root = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length + EPS);
  return values.map((v, i) => (v / root) * weight[i]);
}

describe.each([
  { columns: 32, tokens: 1 },
  { columns: 100, tokens: 3 },
  { columns: 1028, tokens: 5 },
])('$tokens rows of $columns', ({ columns, tokens }) => {
  test.each([true, false])('norms and joins; of a residual stream: %s', async (residual) => {
    const [e, h] = [randomNormal(1, tokens * columns, 0.02), randomNormal(2, tokens * columns, 40)];
    const [embeddingNorm, hiddenNorm, outputNorm] = [3, 4, 5].map((seed) => randomNormal(seed, columns, 0.3, 1));
    const y = buffers.output(2 * tokens * columns);
    const tensors = {
      e: buffers.floats(e),
      h: buffers.floats(h),
      embeddingNorm: buffers.floats(embeddingNorm),
      hiddenNorm: buffers.floats(hiddenNorm),
      outputNorm: residual ? buffers.floats(outputNorm) : undefined,
      y,
    };
    await run(gpu, (rec) => mtpJoin(rec, tensors, tokens, { columns, eps: EPS }));
    const expected = Array.from({ length: tokens }, (_, t) => {
      const row = (source: Float32Array) => source.subarray(t * columns, (t + 1) * columns);
      const hidden = residual ? rms(row(h), outputNorm) : row(h);
      return [...rms(row(e), embeddingNorm), ...rms(hidden, hiddenNorm)];
    }).flat();
    expectClose(await readFloats(gpu, y, expected.length), expected);
  });
});

test.each([
  { title: 'one value', values: [3], expected: 0 },
  { title: 'the lowest of equals', values: [-1, 5, 2, 5], expected: 1 },
  { title: 'negative values', values: [-9, -1e30, -2], expected: 2 },
  { title: 'masked values', values: [-Infinity, -Infinity, -7], expected: 2 },
  { title: 'no number at all', values: [Number.NaN, Number.NaN], expected: 0 },
  {
    title: 'equals in two segments',
    values: [...new Array(4099).fill(0), 1, ...new Array(3000).fill(0), 1],
    expected: 4099,
  },
  { title: 'the end of a vocabulary of odd size', values: [...randomNormal(1, 10_000), 99], expected: 10_000 },
])('finds the largest: $title', async ({ values, expected }) => {
  const index = buffers.output(1);
  const best = buffers.output(argmaxBytes(values.length) / 4);
  await run(gpu, (rec) => argmax(rec, { values: buffers.floats(values), best, index }, values.length));
  expect(new Uint32Array(await gpu.read(index))[0]).toBe(expected);
});

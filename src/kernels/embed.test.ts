import { expect, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { dequantizable, dequantize } from '../../tools/testing/dequantize.ts';
import { expectClose, openTestGpu, randomMatrix, readFloats, run } from '../../tools/testing/kernels.ts';
import type { TensorType } from '../weights/types.ts';
import { embed } from './embed.ts';

const gpu = await openTestGpu();
const CODEBOOKS = 6;
const buffers = useBuffers(gpu, CODEBOOKS);

async function expectRows(type: TensorType, shape: [number, number], tokens: number[], limit?: number) {
  const columns = shape[1];
  const { matrix, bytes } = await randomMatrix(gpu, type, shape, 3, limit);
  buffers.own(matrix);
  if (limit) expect(matrix.parts.length).toBeGreaterThan(1);
  const x = buffers.output(tokens.length * columns);
  await run(gpu, (rec) => embed(rec, matrix, buffers.words(tokens), x, tokens.length));
  const w = dequantize(type, bytes);
  const expected = tokens.flatMap((token) => [...w.subarray(token * columns, (token + 1) * columns)]);
  // A weight is two or three roundings of f32 away from its exact value.
  expectClose(await readFloats(gpu, x, expected.length), expected, 1e-6);
}

test.each(dequantizable)('looks up rows of %s', async (type) => {
  await expectRows(type, [37, 256], [36, 0, 5, 5, 17]);
});

test.each([
  { title: 'one token', shape: [1, 32], tokens: [0] },
  { title: 'more than one workgroup a row', shape: [19, 64 * 32 + 96], tokens: [18, 0, 7] },
  { title: 'more tokens than rows', shape: [7, 64], tokens: Array.from({ length: 257 }, (_, i) => (i * 3) % 7) },
] satisfies { title: string; shape: [number, number]; tokens: number[] }[])(
  'looks up $title',
  async ({ shape, tokens }) => {
    await expectRows('F32', shape, tokens);
  },
);

test.each(['F16', 'Q8_0', 'Q4_K', 'Q6_K'] as const)('looks up rows of %s split over bindings', async (type) => {
  // Rows at the borders of the parts and within.
  await expectRows(type, [77, 256], [0, 7, 8, 15, 16, 31, 32, 63, 64, 71, 72, 76], 4096);
});

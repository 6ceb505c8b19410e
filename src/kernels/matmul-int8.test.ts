import { afterAll, expect, inject, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { dequantize } from '../../tools/testing/dequantize.ts';
import { expectClose, openTestGpu, randomMatrix, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal } from '../../tools/testing/random.ts';
import { CHUNK, INTEGER_TYPES } from '../weights/quant-layout.ts';
import type { TensorType } from '../weights/types.ts';
import { choose } from './choices.ts';
import { expertMatmul, int8Shapes, type MatmulShape, matmul, matmulShape } from './matmul.ts';
import { expertGroups, routingBytes } from './moe.ts';
import { quantizeActivations, quantizedBytes } from './quantize-activations.ts';
import type { WeightMatrix } from './weight-matrix.ts';

const gpu = await openTestGpu();
const CODEBOOKS = 1;
const buffers = useBuffers(gpu, CODEBOOKS);

const offered = (['wide', 'narrow'] as const).flatMap((width) => int8Shapes(gpu, width));
const smallTile = offered.findLast(({ kind }) => kind === 'int8 tiled');
const inLanes = offered.find(({ kind }) => kind === 'int8 lanes');
/** A shape of each kind, and the types it is tried with; decoders are the same code for both. */
const kinds = [smallTile, inLanes].filter((shape) => shape !== undefined);
const FEW_TYPES = ['Q6_K', 'Q8_0'] as const;
// A pipeline takes a browser's software adapter longer to compile.
const typesOf = ({ kind }: MatmulShape): readonly TensorType[] =>
  inject('alsoInNode') || kind !== kinds.at(-1)?.kind ? FEW_TYPES : [...INTEGER_TYPES];

/**
 * Steps of 1/127 of a chunk's largest, some 2.2 times the rms of normal values, err by 1/√12 of themselves: by 0.5 % of a
 * product's rms (seen, too), and a single element of thousands by less than ten times that.
 */
const ROUNDED = 0.05;

/** Rows of x, on the GPU as small integers, and what they stand for. */
async function quantizedRows(rows: number, columns: number) {
  const values = randomNormal(7, rows * columns);
  const buffer = buffers.output(quantizedBytes(values.length) / 4);
  await run(gpu, (rec) => quantizeActivations(rec, buffers.floats(values), buffer, values.length));
  const pairs = await readFloats(gpu, buffer, buffer.size / 4);
  const bytes = new Int8Array(pairs.buffer);
  const rounded = Float64Array.from(values, (_, i) => {
    const chunk = 16 * Math.floor(i / CHUNK); // in floats
    return pairs[chunk + 1] * bytes[4 * chunk + 8 * ((i % CHUNK) >> 2) + (i & 3)];
  });
  return { values, rounded, buffer };
}

function dot(w: Float64Array, wAt: number, x: ArrayLike<number>, xAt: number, columns: number): number {
  let sum = 0;
  for (let c = 0; c < columns; c++) sum += w[wAt + c] * x[xAt + c];
  return sum;
}

/** That routed pairs are multiplied by their experts. */
async function expectRouted(given: {
  matrix: WeightMatrix;
  bytes: Uint8Array<ArrayBuffer>;
  slotOf: readonly number[];
  xShare: number;
  shape: MatmulShape;
}): Promise<void> {
  const { matrix, bytes, slotOf, xShare, shape } = given;
  const { type, rows, columns, slots = 0 } = matrix;
  const pairs = slotOf.length;
  const x = await quantizedRows(pairs / xShare, columns);
  const y = buffers.output(pairs * rows);
  const routing = buffers.output(routingBytes(pairs, slots, shape.tokens) / 4);
  await run(gpu, (rec) => {
    const routed = { slots: buffers.words(slotOf), pairs, xShare };
    const tiles = expertGroups(rec, routed, slots, routing, shape);
    expertMatmul(rec, matrix, y, y, tiles, { quantized: () => x.buffer });
  });
  const w = dequantize(type, bytes);
  const expected = slotOf.flatMap((slot, p) =>
    Array.from({ length: rows }, (_, r) =>
      dot(w, (slot * rows + r) * columns, x.rounded, Math.floor(p / xShare) * columns, columns),
    ),
  );
  expectClose(await readFloats(gpu, y, pairs * rows), expected);
}

for (const shape of kinds) {
  test.each(typesOf(shape))(`%s: [37, 512] times 35 rows by ${shape.kind}`, async (type) => {
    const [rows, columns, tokens] = [37, 512, 35];
    const { matrix, bytes } = await randomMatrix(gpu, type, [rows, columns], 5);
    buffers.own(matrix);
    const x = await quantizedRows(tokens, columns);
    const y = buffers.output(tokens * rows);
    const unread = buffers.output(1);
    await run(gpu, (rec) => matmul(rec, matrix, unread, y, tokens, { shape, quantized: () => x.buffer }));
    const actual = await readFloats(gpu, y, tokens * rows);
    const w = dequantize(type, bytes);
    const product = (from: ArrayLike<number>) =>
      Array.from({ length: tokens * rows }, (_, i) =>
        dot(w, (i % rows) * columns, from, Math.floor(i / rows) * columns, columns),
      );
    expectClose(actual, product(x.rounded));
    expectClose(actual, product(x.values), ROUNDED);
  });

  test(`adds to y, writes to its place, and splits rows over bindings, by ${shape.kind}`, async () => {
    const [rows, columns, tokens, stride, offset] = [77, 256, 6, 100, 11];
    const { matrix, bytes } = await randomMatrix(gpu, 'Q4_K', [rows, columns], 3, 4096);
    buffers.own(matrix);
    expect(matrix.parts.length).toBeGreaterThan(2);
    const x = await quantizedRows(tokens, columns);
    const before = randomNormal(10, tokens * stride);
    const y = buffers.floats(before);
    const options = { accumulate: true, stride, offset, shape, quantized: () => x.buffer };
    await run(gpu, (rec) => matmul(rec, matrix, y, y, tokens, options));
    const w = dequantize('Q4_K', bytes);
    const expected = before.map((v, i) => {
      const row = (i % stride) - offset;
      const inside = row >= 0 && row < rows;
      return inside ? v + dot(w, row * columns, x.rounded, Math.floor(i / stride) * columns, columns) : v;
    });
    expectClose(await readFloats(gpu, y, tokens * stride), expected);
  });

  test.each([
    { type: 'Q4_K', title: 'uneven experts', slots: 9, rows: 40, tokens: 65, choices: 3, pick: [0, 8, 8, 2] },
    { type: 'Q6_K', title: 'parts', slots: 7, rows: 33, tokens: 21, choices: 2, pick: [0, 5, 3, 1, 6], limit: 20_000 },
  ] as const)(`routed pairs by their experts by ${shape.kind}: $title of $type`, async (given) => {
    const { type, slots, rows, tokens, choices, pick } = given;
    const columns = 256;
    const limit = 'limit' in given ? given.limit : undefined;
    const { matrix, bytes } = await randomMatrix(gpu, type, [slots, rows, columns], 4, limit);
    buffers.own(matrix);
    if (limit) expect(matrix.parts.length).toBeGreaterThan(1);
    const pairs = tokens * choices;
    const slotOf = Array.from({ length: pairs }, (_, p) => pick[p % pick.length]);
    for (const xShare of [choices, 1]) await expectRouted({ matrix, bytes, slotOf, xShare, shape });
  });
}

const others = new Map(offered.map((shape) => [JSON.stringify(shape), shape]));
for (const shape of kinds) others.delete(JSON.stringify(shape));
test.runIf(!inject('alsoInNode')).each([...others.values()])('a $kind product of $rows by $tokens', async (shape) => {
  const [slots, rows, columns, tokens] = [3, 131, 96, 70];
  const { matrix, bytes } = await randomMatrix(gpu, 'Q8_0', [slots, rows, columns], 6);
  buffers.own(matrix);
  const slotOf = Array.from({ length: tokens }, (_, p) => (p % 23 === 5 ? 0 : 2));
  await expectRouted({ matrix, bytes, slotOf, xShare: 1, shape });
});

test('is taken where it is allowed and may be faster, and x is not quantised where it is not', async () => {
  const plain = await openTestGpu(['subgroups']);
  afterAll(() => plain.dispose());
  for (const device of [gpu, plain]) {
    const float = matmulShape(device, 'wide', false);
    expect(float.kind).not.toMatch(/^int8/);
    // Tiles are taken where they were measured.
    const [first] = int8Shapes(device, 'wide');
    expect(matmulShape(device, 'wide', false, true)).toEqual(first.kind === 'int8 lanes' ? first : float);
    choose(device, { matmulInt8: { wide: int8Shapes(device, 'wide').at(-1) } });
    expect(matmulShape(device, 'wide', false, true)).toEqual(int8Shapes(device, 'wide').at(-1));
    expect(matmulShape(device, 'wide', false)).toEqual(float);
    choose(device, {});
  }
  const never = () => {
    throw new Error('asked for');
  };
  const { matrix, bytes } = await randomMatrix(gpu, 'IQ2_XS', [8, 256], 5);
  const x = randomNormal(7, 6 * 256);
  const y = buffers.output(6 * 8);
  await run(gpu, (rec) => matmul(rec, matrix, buffers.floats(x), y, 6, { quantized: never }));
  const w = dequantize('IQ2_XS', bytes);
  const expected = Array.from({ length: 48 }, (_, i) => dot(w, (i % 8) * 256, x, Math.floor(i / 8) * 256, 256));
  expectClose(await readFloats(gpu, y, 48), expected);
  matrix.dispose();
});

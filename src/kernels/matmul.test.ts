import { describe, expect, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { dequantize } from '../../tools/testing/dequantize.ts';
import { expectClose, openTestGpu, randomMatrix, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal } from '../../tools/testing/random.ts';
import type { TensorType } from '../weights/types.ts';
import { expertMatmul, type MatmulShape, matmul, matmulShapes, product } from './matmul.ts';
import { expertGroups, routingBytes } from './moe.ts';
import { StagingBuffer, WeightMatrix } from './weight-matrix.ts';

const gpu = await openTestGpu();
const CODEBOOKS = 6;
const buffers = useBuffers(gpu, CODEBOOKS);

/**
 * Tiles in f16 round W and x by at most 2^-11 each; products and sums are f32. Over a row of random signs the errors stay
 * near 2^-11 of the result's rms (0.0003 seen), and a single element of thousands is within four times that.
 */
const TILED = { kind: 'tiled', rows: 32, tokens: 16, laneRows: 4, laneTokens: 2 } as const satisfies MatmulShape;
interface Variant {
  title: string;
  f16: boolean;
  shape: MatmulShape;
  tolerance: number;
  types: readonly TensorType[];
}
// Decoding is the same code for all, tested by type in matvec.test.ts; a pipeline takes a software adapter seconds to compile.
const FEW_TYPES = ['BF16', 'Q4_K', 'IQ2_XS'] as const;
const variants: Variant[] = [{ title: 'tiles of f32', f16: false, shape: TILED, tolerance: 1e-5, types: FEW_TYPES }];
if (gpu.capabilities.f16) {
  variants.push({ title: 'tiles of f16', f16: true, shape: TILED, tolerance: 2e-3, types: FEW_TYPES });
}
// By lanes on lavapipe, by quads on SwiftShader.
const [first] = matmulShapes(gpu, 'wide', false);
if (first.kind !== 'tiled') {
  variants.push({ title: first.kind, f16: false, shape: first, tolerance: 1e-5, types: FEW_TYPES });
}
for (const f16 of [false, true]) {
  const shape = matmulShapes(gpu, 'wide', f16).find(({ kind }) => kind === 'matrix');
  if (shape?.kind !== 'matrix' || shape.matrix.f16 !== f16) continue;
  const title = `subgroup matrices of ${f16 ? 'f16' : 'f32'}`;
  variants.push({ title, f16, shape, tolerance: f16 ? 2e-3 : 1e-5, types: FEW_TYPES });
}

/** Float64 product of row `row` of w with the x of one token. */
function dot(w: ArrayLike<number>, wAt: number, x: ArrayLike<number>, xAt: number, columns: number): number {
  let sum = 0;
  for (let c = 0; c < columns; c++) sum += w[wAt + c] * x[xAt + c];
  return sum;
}

function reference(w: Float64Array, x: Float32Array, rows: number, columns: number, tokens: number): number[] {
  return Array.from({ length: tokens * rows }, (_, i) =>
    dot(w, (i % rows) * columns, x, Math.floor(i / rows) * columns, columns),
  );
}

describe.each(variants)('matmul by $title', ({ f16, shape, tolerance, types }) => {
  const shapes = [
    { rows: 1, columns: 32, tokens: 1 },
    { rows: 33, columns: 96, tokens: 5 },
    { rows: 32, columns: 64, tokens: 32 },
    { rows: 100, columns: 256, tokens: 33 },
    { rows: 7, columns: 1024, tokens: 65 },
    { rows: 65, columns: 128, tokens: 257 },
  ];
  test.each(shapes)('F32 [$rows, $columns] times $tokens rows', async ({ rows, columns, tokens }) => {
    const { matrix, bytes } = await randomMatrix(gpu, 'F32', [rows, columns], rows);
    buffers.own(matrix);
    const x = randomNormal(7, tokens * columns);
    const y = buffers.output(tokens * rows);
    await run(gpu, (rec) => matmul(rec, matrix, buffers.floats(x), y, tokens, { f16, shape }));
    const expected = reference(dequantize('F32', bytes), x, rows, columns, tokens);
    expectClose(await readFloats(gpu, y, tokens * rows), expected, tolerance);
  });

  test.each(types)('%s: [37, 512] times 35 rows', async (type) => {
    const [rows, columns, tokens] = [37, 512, 35];
    const { matrix, bytes } = await randomMatrix(gpu, type, [rows, columns], 5);
    buffers.own(matrix);
    const x = randomNormal(7, tokens * columns);
    const y = buffers.output(tokens * rows);
    await run(gpu, (rec) => matmul(rec, matrix, buffers.floats(x), y, tokens, { f16, shape }));
    const expected = reference(dequantize(type, bytes), x, rows, columns, tokens);
    expectClose(await readFloats(gpu, y, tokens * rows), expected, tolerance);
  });

  test('stays finite for activations beyond the range of f16', async () => {
    const [rows, columns, tokens] = [5, 64, 6];
    const { matrix, bytes } = await randomMatrix(gpu, 'F32', [rows, columns], 3);
    buffers.own(matrix);
    const x = randomNormal(7, tokens * columns, 10_000);
    x[columns + 3] = 65_504;
    x[2 * columns + 5] = -65_504;
    const y = buffers.output(tokens * rows);
    await run(gpu, (rec) => matmul(rec, matrix, buffers.floats(x), y, tokens, { f16, shape }));
    expectClose(
      await readFloats(gpu, y, tokens * rows),
      reference(dequantize('F32', bytes), x, rows, columns, tokens),
      tolerance,
    );
    const huge = x.map((v) => v * 100);
    await run(gpu, (rec) => matmul(rec, matrix, buffers.floats(huge), y, tokens, { f16, shape }));
    expect((await readFloats(gpu, y, tokens * rows)).every(Number.isFinite)).toBe(true);
  });

  test.each(['BF16', 'Q4_K'] as const)('%s: rows split over bindings give the same product', async (type) => {
    const [rows, columns, tokens] = [77, 256, 6];
    const { matrix, bytes } = await randomMatrix(gpu, type, [rows, columns], 3, 4096);
    buffers.own(matrix);
    expect(matrix.parts.length).toBeGreaterThan(2);
    const x = randomNormal(9, tokens * columns);
    const y = buffers.output(tokens * rows);
    await run(gpu, (rec) => matmul(rec, matrix, buffers.floats(x), y, tokens, { f16, shape }));
    const expected = reference(dequantize(type, bytes), x, rows, columns, tokens);
    expectClose(await readFloats(gpu, y, tokens * rows), expected, tolerance);
  });

  test('adds to y when accumulating, also where rows are split', async () => {
    const [rows, columns, tokens] = [45, 128, 9];
    const { matrix, bytes } = await randomMatrix(gpu, 'BF16', [rows, columns], 3, 4096);
    buffers.own(matrix);
    const x = randomNormal(9, tokens * columns);
    const before = randomNormal(10, tokens * rows);
    const y = buffers.floats(before);
    await run(gpu, (rec) => matmul(rec, matrix, buffers.floats(x), y, tokens, { accumulate: true, f16, shape }));
    const expected = reference(dequantize('BF16', bytes), x, rows, columns, tokens).map((v, i) => v + before[i]);
    expectClose(await readFloats(gpu, y, tokens * rows), expected, tolerance);
  });

  test.each([
    { title: 'few pairs', slots: 4, rows: 33, tokens: 5, choices: 2, chosen: (p: number) => (p * 3) % 4 },
    { title: 'every pair on one expert', slots: 5, rows: 64, tokens: 45, choices: 1, chosen: () => 3 },
    { title: 'uneven experts', slots: 9, rows: 40, tokens: 65, choices: 3, chosen: (p: number) => [0, 8, 8, 2][p % 4] },
    { title: 'parts', slots: 7, rows: 32, tokens: 40, choices: 2, chosen: (p: number) => (p * 5) % 7, limit: 70_000 },
  ])('multiplies routed pairs by their experts: $title', async ({ slots, rows, tokens, choices, chosen, limit }) => {
    const columns = 256;
    const { matrix, bytes } = await randomMatrix(gpu, 'F32', [slots, rows, columns], 4, limit);
    buffers.own(matrix);
    if (limit) expect(matrix.parts.length).toBeGreaterThan(1);
    const pairs = tokens * choices;
    const slotOf = Array.from({ length: pairs }, (_, p) => chosen(p));
    const w = dequantize('F32', bytes);
    // Gate and up share a token's x between its pairs; down has one x per pair.
    for (const xShare of [choices, 1]) {
      const x = randomNormal(9, (pairs / xShare) * columns);
      const y = buffers.output(pairs * rows);
      const routing = buffers.output(routingBytes(pairs, slots, shape.tokens) / 4);
      await run(gpu, (rec) => {
        const routed = { slots: buffers.words(slotOf), pairs, xShare };
        expertMatmul(rec, matrix, buffers.floats(x), y, expertGroups(rec, routed, slots, routing, shape), { f16 });
      });
      const expected = slotOf.flatMap((slot, p) =>
        Array.from({ length: rows }, (_, r) =>
          dot(w, (slot * rows + r) * columns, x, Math.floor(p / xShare) * columns, columns),
        ),
      );
      expectClose(await readFloats(gpu, y, pairs * rows), expected, tolerance);
    }
  });
});

/** Every other shape that an adapter like this one may be given. */
const f16Tiles = gpu.capabilities.f16;
const tested = new Set(variants.map(({ shape }) => JSON.stringify(shape)));
const offered = (['wide', 'narrow'] as const)
  .flatMap((width) => matmulShapes(gpu, width, f16Tiles))
  .filter((shape) => {
    const key = JSON.stringify(shape);
    return !tested.has(key) && tested.add(key);
  });
test.each(offered)('a $kind product of $rows by $tokens', async (shape) => {
  const f16 = f16Tiles;
  const [slots, rows, columns, tokens] = [3, 131, 96, 70];
  const { matrix, bytes } = await randomMatrix(gpu, 'F32', [slots, rows, columns], 6);
  buffers.own(matrix);
  const x = randomNormal(7, tokens * columns);
  const y = buffers.output(tokens * rows);
  const slotOf = Array.from({ length: tokens }, (_, p) => (p % 23 === 5 ? 0 : 2));
  const routing = buffers.output(routingBytes(tokens, slots, shape.tokens) / 4);
  await run(gpu, (rec) => {
    const routed = { slots: buffers.words(slotOf), pairs: tokens, xShare: 1 };
    expertMatmul(rec, matrix, buffers.floats(x), y, expertGroups(rec, routed, slots, routing, shape), { f16 });
  });
  const w = dequantize('F32', bytes);
  const expected = slotOf.flatMap((slot, t) =>
    Array.from({ length: rows }, (_, r) => dot(w, (slot * rows + r) * columns, x, t * columns, columns)),
  );
  expectClose(await readFloats(gpu, y, tokens * rows), expected, f16 ? 2e-3 : 1e-5);
});

// Where one binding may hold the whole matrix (software adapters of browsers allow 1 GiB), the small limits above stand in.
const MATRIX_ROWS = 40_960;
const MATRIX_COLUMNS = 1024;
if (gpu.limits.maxStorageBufferBindingSize < MATRIX_ROWS * MATRIX_COLUMNS * 4) {
  test('multiplies a matrix larger than the adapter lets a shader bind', async () => {
    // Cheap values that tell rows and columns apart: no two rows within 1009 are equal.
    const value = (row: number, column: number) => (((row * 31) % 1009) * (column + 3)) % 257;
    const matrix = buffers.own(WeightMatrix.allocate(gpu, 'large', 'F32', [MATRIX_ROWS, MATRIX_COLUMNS]));
    expect(matrix.parts.length).toBe(2);
    const rowsPerPiece = 1000; // so that a piece straddles the parts
    const staging = new StagingBuffer(gpu, 16);
    for (let first = 0; first < MATRIX_ROWS; first += rowsPerPiece) {
      const rows = Math.min(rowsPerPiece, MATRIX_ROWS - first);
      const piece = new Float32Array(rows * MATRIX_COLUMNS);
      for (let i = 0; i < piece.length; i++)
        piece[i] = value(first + Math.floor(i / MATRIX_COLUMNS), i % MATRIX_COLUMNS);
      await matrix.write(gpu, staging, first, new Uint8Array(piece.buffer));
    }
    staging.dispose();
    const border = matrix.parts[1].first;
    const sample = [0, 1, 31, 32, border - 1, border, border + 1, border + 33, MATRIX_ROWS - 33, MATRIX_ROWS - 1];
    for (const tokens of [1, 5]) {
      const x = randomNormal(tokens, tokens * MATRIX_COLUMNS);
      const y = buffers.output(tokens * MATRIX_ROWS);
      await run(gpu, (rec) => product(rec, matrix, buffers.floats(x), y, tokens));
      const actual = await readFloats(gpu, y, tokens * MATRIX_ROWS);
      const places = Array.from({ length: tokens }, (_, t) => sample.map((row) => ({ t, row }))).flat();
      expectClose(
        places.map(({ t, row }) => actual[t * MATRIX_ROWS + row]),
        places.map(({ t, row }) => {
          const w = Float64Array.from({ length: MATRIX_COLUMNS }, (_, c) => value(row, c));
          return dot(w, 0, x, t * MATRIX_COLUMNS, MATRIX_COLUMNS);
        }),
      );
    }
  });
}

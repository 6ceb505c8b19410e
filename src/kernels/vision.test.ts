import { describe, expect, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { expectClose, openTestGpu, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal, randomSource } from '../../tools/testing/random.ts';
import { gridPoints, visionAttention, visionPatches, visionPosition, visionRotary, visionTurns } from './vision.ts';

const gpu = await openTestGpu();
const buffers = useBuffers(gpu);

/** Row and column of each patch, in merge order, as the description says it. */
function mergeOrder(height: number, width: number, merge: number): [row: number, column: number][] {
  const order: [number, number][] = [];
  for (let r = 0; r < height; r += merge) {
    for (let c = 0; c < width; c += merge) {
      for (let i = 0; i < merge * merge; i++) order.push([r + Math.floor(i / merge), c + (i % merge)]);
    }
  }
  return order;
}

const shapes = [
  { height: 2, width: 2, merge: 2, first: 0, count: 4 },
  { height: 6, width: 10, merge: 2, first: 8, count: 21 },
  { height: 3, width: 6, merge: 3, first: 0, count: 18 },
  { height: 14, width: 2, merge: 2, first: 4, count: 24 },
];

describe('visionPatches', () => {
  test.each(shapes)('cuts $count patches from $first of $height × $width', async (shape) => {
    const { height, width, merge, first, count } = shape;
    const patchSize = 6;
    const random = randomSource(height);
    const pixels = Uint8Array.from({ length: height * width * patchSize ** 2 * 4 }, () => random() * 256);
    const [mean, std] = [
      [0.5, 0.25, 0.1],
      [0.5, 0.3, 2],
    ];
    const y = buffers.output(count * 3 * patchSize ** 2);
    const source = buffers.own(gpu.upload('pixels', pixels));
    const part = { first, count, gridWidth: width, merge };
    await run(gpu, (rec) => visionPatches(rec, source, y, part, { patchSize, mean, std }));
    const expected = mergeOrder(height, width, merge)
      .slice(first, first + count)
      .flatMap(([row, column]) =>
        [0, 1, 2].flatMap((channel) =>
          Array.from({ length: patchSize ** 2 }, (_, i) => {
            const py = row * patchSize + Math.floor(i / patchSize);
            const px = column * patchSize + (i % patchSize);
            return (pixels[(py * width * patchSize + px) * 4 + channel] / 255 - mean[channel]) / std[channel];
          }),
        ),
      );
    expectClose(await readFloats(gpu, y, expected.length), expected, 1e-6);
  });
});

describe('visionPosition', () => {
  test.each(shapes)('places $count patches from $first of $height × $width on the grid', async (shape) => {
    const { height, width, merge, first, count } = shape;
    const [points, columns, stride] = [5, 12, 32];
    const grid = randomNormal(1, points ** 2 * columns);
    const bias = randomNormal(2, columns);
    const x = randomNormal(3, count * stride);
    const buffer = buffers.floats(x);
    const input = {
      grid: buffers.floats(grid),
      bias: buffers.floats(bias),
      rows: buffers.floats(gridPoints(height, points)),
      columnsAt: buffers.floats(gridPoints(width, points)),
    };
    const part = { first, count, gridWidth: width, merge };
    await run(gpu, (rec) => visionPosition(rec, input, buffer, part, { points, columns, stride }));
    const order = mergeOrder(height, width, merge);
    const expected = Array.from(x, (v, i) => {
      const c = i % stride;
      if (c >= columns) return v;
      const [row, column] = order[first + Math.floor(i / stride)];
      const at = [(row * (points - 1)) / (height - 1), (column * (points - 1)) / (width - 1)];
      let sum = v + bias[c];
      // Hat functions of every grid point: bilinear interpolation, said otherwise.
      for (let r = 0; r < points; r++) {
        for (let k = 0; k < points; k++) {
          const share = Math.max(0, 1 - Math.abs(at[0] - r)) * Math.max(0, 1 - Math.abs(at[1] - k));
          sum += share * grid[(r * points + k) * columns + c];
        }
      }
      return sum;
    });
    expectClose(await readFloats(gpu, buffer, x.length), expected, 1e-6);
  });
});

describe('visionRotary', () => {
  test.each(shapes)('turns $count patches from $first of $height × $width', async (shape) => {
    const { height, width, merge, first, count } = shape;
    const [heads, headDim, stride, biasAt] = [3, 20, 64, 7];
    const x = randomNormal(1, count * stride);
    const bias = randomNormal(2, biasAt + heads * headDim);
    const buffer = buffers.floats(x);
    const turns = buffers.floats(visionTurns(Math.max(height, width), headDim));
    const part = { first, count, gridWidth: width, merge };
    await run(gpu, (rec) =>
      visionRotary(rec, buffer, buffers.floats(bias), turns, part, { heads, headDim, stride }, biasAt),
    );
    const expected = Float64Array.from(x);
    const half = headDim / 2;
    mergeOrder(height, width, merge)
      .slice(first, first + count)
      .forEach((place, t) => {
        for (let head = 0; head < heads; head++) {
          for (let i = 0; i < half; i++) {
            const axis = i < half / 2 ? 0 : 1;
            const angle = place[axis] * 10000 ** ((-2 * (i % (half / 2))) / half);
            const at = t * stride + head * headDim + i;
            const a = x[at] + bias[biasAt + head * headDim + i];
            const b = x[at + half] + bias[biasAt + head * headDim + i + half];
            expected[at] = a * Math.cos(angle) - b * Math.sin(angle);
            expected[at + half] = b * Math.cos(angle) + a * Math.sin(angle);
          }
        }
      });
    expectClose(await readFloats(gpu, buffer, x.length), expected, 1e-6);
  });
});

describe('visionAttention', () => {
  test.each([
    { queries: 1, keys: 1, heads: 1, headDim: 4, std: 1 },
    { queries: 70, keys: 41, heads: 2, headDim: 8, std: 1, kind: 'tiled' },
    { queries: 5, keys: 37, heads: 3, headDim: 72, std: 1 },
    { queries: 65, keys: 16, heads: 2, headDim: 64, std: 3 },
    { queries: 70, keys: 333, heads: 2, headDim: 128, std: 1 },
    { queries: 9, keys: 40_000, heads: 1, headDim: 8, std: 1 }, // all scores of as many queries: 6.4 GB
    { queries: 3, keys: 50, heads: 1, headDim: 8, std: 30 }, // scores of hundreds: one key wins
  ] as const)('$queries queries over $keys keys, $heads heads of $headDim', async (shape) => {
    const { queries, keys, heads, headDim, std } = shape;
    const kind = 'kind' in shape ? shape.kind : undefined;
    const stride = heads * headDim + 12;
    const q = randomNormal(1, queries * stride, std);
    const k = randomNormal(2, keys * stride, std);
    const v = randomNormal(3, keys * stride);
    const y = buffers.output(queries * stride);
    const input = { q: buffers.floats(q), k: buffers.floats(k), v: buffers.floats(v), y };
    await run(gpu, (rec) => visionAttention(rec, input, queries, keys, { heads, headDim, stride }, kind));
    const actual = await readFloats(gpu, y, queries * stride);
    const ours: number[] = [];
    const expected: number[] = [];
    for (let t = 0; t < queries; t++) {
      for (let head = 0; head < heads; head++) {
        const at = (row: number) => row * stride + head * headDim;
        const scores = Array.from({ length: keys }, (_, s) => {
          let sum = 0;
          for (let d = 0; d < headDim; d++) sum += q[at(t) + d] * k[at(s) + d];
          return sum / Math.sqrt(headDim);
        });
        const most = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - most));
        const total = weights.reduce((a, b) => a + b, 0);
        for (let d = 0; d < headDim; d++) {
          ours.push(actual[at(t) + d]);
          expected.push(weights.reduce((sum, w, s) => sum + w * v[at(s) + d], 0) / total);
        }
      }
      expect(actual.subarray(t * stride + heads * headDim, (t + 1) * stride).every(Number.isNaN)).toBe(true);
    }
    // A score of size s errs by s·2^-22 or so, and its weight by as much, relatively; sums of n terms err by √n·2^-24.
    const sums = 4 * Math.sqrt(keys) * 2 ** -24;
    expectClose(ours, expected, std > 10 ? 1e-3 : Math.max(1e-5, sums));
  });
});

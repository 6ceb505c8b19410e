import { expect, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { openTestGpu, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal } from '../../tools/testing/random.ts';
import { quantizeActivations, quantizedBytes } from './quantize-activations.ts';

const gpu = await openTestGpu();
const buffers = useBuffers(gpu);

/** What the shader leaves of one chunk: signed bytes, the scale, and scale · Σ bytes of each half. */
async function quantized(x: Float32Array): Promise<{ q: Int8Array; scale: number; sums: number[] }[]> {
  const bytes = quantizedBytes(x.length);
  const out = buffers.output(bytes / 4);
  await run(gpu, (rec) => quantizeActivations(rec, buffers.floats(x), out, x.length));
  const floats = await readFloats(gpu, out, bytes / 4);
  return Array.from({ length: x.length / 32 }, (_, chunk) => {
    const pairs = floats.subarray(16 * chunk, 16 * (chunk + 1));
    const q = Int8Array.from({ length: 32 }, (_, i) => new Int8Array(pairs.slice(2 * (i >> 2)).buffer)[i & 3]);
    return { q, scale: pairs[1], sums: [pairs[3], pairs[5]] };
  });
}

test('rounds each chunk to 127 steps of its largest magnitude, and sums its halves', async () => {
  const chunks = 2085; // more than a workgroup's, no whole number of them
  const x = randomNormal(3, 32 * chunks);
  for (let i = 0; i < x.length; i++) x[i] *= 10 ** (((i >> 5) % 61) - 30);
  for (const [chunk, { q, scale, sums }] of (await quantized(x)).entries()) {
    const values = x.subarray(32 * chunk, 32 * (chunk + 1));
    const largest = values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    expect(Math.abs(scale * 127 - largest) / largest).toBeLessThan(2 ** -21); // WGSL's division
    // Nearest, but for what the reciprocal's rounding decides between two that are as near.
    const worst = values.reduce((most, v, i) => Math.max(most, Math.abs(v / scale - q[i])), 0);
    expect(worst).toBeLessThan(0.5 + 1e-4);
    expect(Math.max(...q.map(Math.abs))).toBe(127);
    for (const half of [0, 1]) {
      const sum = q.subarray(16 * half, 16 * (half + 1)).reduce((a, b) => a + b, 0);
      expect(sums[half]).toBe(Math.fround(scale * sum));
    }
  }
});

test('zeros stay zeros, also what is too small for a scale; the largest floats have one', async () => {
  const x = new Float32Array(96);
  x.fill(1e-38, 32, 64);
  x.fill(-3.4e38, 64);
  x[64] = 3.4e38;
  const [zeros, tiny, huge] = await quantized(x);
  expect(zeros).toEqual({ q: new Int8Array(32), scale: 0, sums: [0, 0] });
  expect(tiny.q).toEqual(new Int8Array(32));
  expect(tiny.sums).toEqual([0, 0]);
  expect([...huge.q]).toEqual([127, ...Array<number>(31).fill(-127)]);
});

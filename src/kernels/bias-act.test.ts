import { expect, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { expectClose, openTestGpu, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal } from '../../tools/testing/random.ts';
import { type BiasActivation, biasAct } from './bias-act.ts';

const gpu = await openTestGpu();
const buffers = useBuffers(gpu);

/** The integral of exp(−t²), by Simpson's rule: exact to 1e-12 with these steps. */
function erf(z: number): number {
  const end = Math.min(Math.abs(z), 6);
  const steps = 2000;
  let sum = 0;
  for (let i = 0; i <= steps; i++) {
    const t = (end * i) / steps;
    sum += Math.exp(-t * t) * (i === 0 || i === steps ? 1 : i % 2 === 1 ? 4 : 2);
  }
  return (Math.sign(z) * 2 * sum * end) / steps / 3 / Math.sqrt(Math.PI);
}

const activations: Record<BiasActivation, (x: number) => number> = {
  none: (x) => x,
  'gelu-tanh': (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  'gelu-erf': (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
};

const kinds = ['none', 'gelu-tanh', 'gelu-erf'] as const;

test.each(kinds.flatMap((kind) => [1, 37].map((rows) => ({ kind, rows }))))(
  'adds a bias and applies $kind to $rows rows',
  async ({ kind, rows }) => {
    const [columns, stride, biasAt] = [76, 96, 8];
    const x = randomNormal(rows, rows * stride, 2);
    const bias = randomNormal(2, biasAt + columns);
    const buffer = buffers.floats(x);
    await run(gpu, (rec) => biasAct(rec, buffer, buffers.floats(bias), kind, { rows, columns, stride, biasAt }));
    const act = activations[kind];
    const expected = Array.from(x, (v, i) =>
      i % stride < columns ? act(Math.fround(v + bias[biasAt + (i % stride)])) : v,
    );
    expectClose(await readFloats(gpu, buffer, rows * stride), expected, 1e-6);
  },
);

test.each(kinds)('is finite for inputs of any size: %s', async (kind) => {
  const x = Float32Array.from([-1e10, -1000, -100, -10, 10, 100, 1000, 1e10]);
  const buffer = buffers.floats(x);
  await run(gpu, (rec) => biasAct(rec, buffer, buffers.floats(new Float32Array(8)), kind, { rows: 1, columns: 8 }));
  const actual = await readFloats(gpu, buffer, 8);
  // Relative to the input: far below zero, what is left of GELU is less than a rounding of the input.
  const expected = kind === 'none' ? [-1, -1, -1, -1, 1, 1, 1, 1] : [0, 0, 0, 0, 1, 1, 1, 1];
  expectClose(
    actual.map((v, i) => v / Math.abs(x[i])),
    expected,
    1e-6,
  );
  expect(actual.every(Number.isFinite)).toBe(true);
});

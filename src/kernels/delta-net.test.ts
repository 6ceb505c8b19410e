import { describe, expect, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { expectClose, openTestGpu, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal, randomSource } from '../../tools/testing/random.ts';
import type { GpuBuffer, Recorder } from '../gpu/index.ts';
import { choose } from './choices.ts';
import {
  type DeltaNetDims,
  type DeltaNetOptions,
  type DeltaNetShape,
  deltaChannels,
  deltaConv,
  deltaNet,
  deltaNetShape,
  deltaNetShapes,
  gatedNorm,
  projectionStride,
} from './delta-net.ts';

const gpu = await openTestGpu();
const buffers = useBuffers(gpu);

const EPS = 1e-6;
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** Everything a layer's pass reads. */
interface Inputs {
  qkv: Float32Array; // [T, C]
  weight: Float32Array; // [C, 4]
  alpha: Float32Array; // [T, Hv]
  beta: Float32Array; // [T, Hv]
  a: Float32Array; // [Hv]
  dt: Float32Array; // [Hv]
}

interface State {
  conv: Float32Array; // [3, C]
  recurrent: Float32Array; // [Hv, D values, D keys]
}

function randomInputs(dims: DeltaNetDims, tokens: number, seed: number): Inputs {
  const { valueHeads } = dims;
  const channels = deltaChannels(dims);
  return {
    qkv: randomNormal(seed, tokens * channels),
    weight: randomNormal(seed + 1, 4 * channels, 0.5),
    alpha: randomNormal(seed + 2, tokens * valueHeads, 3),
    beta: randomNormal(seed + 3, tokens * valueHeads, 2),
    a: randomNormal(seed + 4, valueHeads).map((v) => -Math.exp(v)),
    dt: randomNormal(seed + 5, valueHeads),
  };
}

function randomState(dims: DeltaNetDims, seed: number): State {
  const { valueHeads, headDim } = dims;
  return {
    conv: randomNormal(seed, 3 * deltaChannels(dims)),
    recurrent: randomNormal(seed + 1, valueHeads * headDim * headDim, 0.3),
  };
}

/** Steps 2, 3 and 5 of qwen35.md §2.2. */
function convReference(dims: DeltaNetDims, { qkv, weight, alpha, beta, a, dt }: Inputs, state: State) {
  const { keyHeads, valueHeads, headDim } = dims;
  const channels = deltaChannels(dims);
  const tokens = qkv.length / channels;
  const input = (t: number, ch: number) => (t < 0 ? state.conv[(t + 3) * channels + ch] : qkv[t * channels + ch]);
  const y = new Float64Array(tokens * channels);
  for (let t = 0; t < tokens; t++) {
    for (let ch = 0; ch < channels; ch++) {
      let c = 0;
      for (let j = 0; j < 4; j++) c += weight[4 * ch + j] * input(t - 3 + j, ch);
      y[t * channels + ch] = c * sigmoid(c);
    }
    for (let head = 0; head < 2 * keyHeads; head++) {
      const values = y.subarray(t * channels + head * headDim, t * channels + (head + 1) * headDim);
      const norm = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) + EPS);
      const scale = head < keyHeads ? 1 / Math.sqrt(headDim) : 1;
      for (let d = 0; d < headDim; d++) values[d] *= scale / norm;
    }
  }
  const gates = Float64Array.from({ length: tokens * valueHeads * 2 }, (_, i) => {
    const at = i >> 1;
    const h = at % valueHeads;
    return i & 1 ? sigmoid(beta[at]) : Math.exp(a[h] * softplus(alpha[at] + dt[h]));
  });
  return { y, gates };
}

/** Steps 4 and 6 of qwen35.md §2.2, a token and a head at a time. Moves `s` on. */
function scanReference(
  { keyHeads, valueHeads, headDim: D }: DeltaNetDims,
  qkv: ArrayLike<number>,
  gates: ArrayLike<number>,
  s: Float64Array,
): Float64Array {
  const channels = (2 * keyHeads + valueHeads) * D;
  const tokens = qkv.length / channels;
  const o = new Float64Array(tokens * valueHeads * D);
  for (let t = 0; t < tokens; t++) {
    for (let h = 0; h < valueHeads; h++) {
      const q = t * channels + (h % keyHeads) * D;
      const k = q + keyHeads * D;
      const v = t * channels + (2 * keyHeads + h) * D;
      const [alpha, beta] = [gates[2 * (t * valueHeads + h)], gates[2 * (t * valueHeads + h) + 1]];
      for (let column = 0; column < D; column++) {
        const at = (h * D + column) * D;
        let recall = 0;
        for (let i = 0; i < D; i++) {
          s[at + i] *= alpha;
          recall += s[at + i] * qkv[k + i];
        }
        const delta = beta * (qkv[v + column] - recall);
        let sum = 0;
        for (let i = 0; i < D; i++) {
          s[at + i] += qkv[k + i] * delta;
          sum += s[at + i] * qkv[q + i];
        }
        o[(t * valueHeads + h) * D + column] = sum;
      }
    }
  }
  return o;
}

/** The state of the convolution after a pass: its last three inputs. */
function movedConv(before: Float32Array, qkv: Float32Array, channels: number): Float32Array {
  return Float32Array.from([...before, ...qkv].slice(-3 * channels));
}

interface GpuState {
  conv: GpuBuffer;
  recurrent: GpuBuffer;
}

function uploadState({ conv, recurrent }: State): GpuState {
  return { conv: buffers.floats(conv), recurrent: buffers.floats(recurrent) };
}

/** A row of `stride` floats for each token: those of each tensor, side by side; what is left is NaN. */
function sideBySide(tokens: number, stride: number, tensors: readonly Float32Array[]): Float32Array {
  const rows = new Float32Array(tokens * stride).fill(Number.NaN);
  let at = 0;
  for (const tensor of tensors) {
    const columns = tensor.length / tokens;
    for (let t = 0; t < tokens; t++) rows.set(tensor.subarray(t * columns, (t + 1) * columns), t * stride + at);
    at += columns;
  }
  return rows;
}

/** The rows of projections that a layer's kernels read. */
function projections(dims: DeltaNetDims, { qkv, alpha, beta }: Inputs, z?: Float32Array): Float32Array {
  const tokens = qkv.length / deltaChannels(dims);
  const unread = new Float32Array(tokens * dims.valueHeads * dims.headDim).fill(Number.NaN);
  return sideBySide(tokens, projectionStride(dims), [qkv, z ?? unread, alpha, beta]);
}

/** Both kernels over the tokens given, as the model runs them. */
async function layer(
  dims: DeltaNetDims,
  inputs: Inputs,
  state: GpuState,
  { from, into, ...options }: DeltaNetOptions & { from?: number; into?: number } = {},
) {
  const channels = deltaChannels(dims);
  const tokens = inputs.qkv.length / channels;
  const [projected, y] = [buffers.floats(projections(dims, inputs)), buffers.output(tokens * channels)];
  const gates = buffers.output(tokens * dims.valueHeads * 2);
  const o = buffers.output(tokens * dims.valueHeads * dims.headDim);
  const weight = buffers.floats(inputs.weight);
  const decay = buffers.floats([...inputs.a, ...inputs.dt]);
  const record = (rec: Recorder) => {
    deltaConv(rec, dims, { projected, weight, decay, y, gates }, state, tokens, EPS);
    deltaNet(rec, dims, { qkv: y, gates, projected, o }, state, tokens, options);
  };
  await run(gpu, record, { state: from, into });
  return {
    y: await readFloats(gpu, y, tokens * channels),
    gates: await readFloats(gpu, gates, tokens * dims.valueHeads * 2),
    o: await readFloats(gpu, o, tokens * dims.valueHeads * dims.headDim),
  };
}

function part(inputs: Inputs, dims: DeltaNetDims, first: number, end: number): Inputs {
  const channels = deltaChannels(dims);
  const { valueHeads } = dims;
  return {
    ...inputs,
    qkv: inputs.qkv.slice(first * channels, end * channels),
    alpha: inputs.alpha.slice(first * valueHeads, end * valueHeads),
    beta: inputs.beta.slice(first * valueHeads, end * valueHeads),
  };
}

/** Bit for bit, without printing thousands of numbers. */
function expectSame(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  expect(Array.from(actual).findIndex((v, i) => v !== expected[i])).toBe(-1);
}

const sizes: { dims: DeltaNetDims; lengths: number[] }[] = [
  { dims: { keyHeads: 1, valueHeads: 1, headDim: 128 }, lengths: [1, 3] },
  { dims: { keyHeads: 2, valueHeads: 4, headDim: 128 }, lengths: [1, 2, 3, 4, 5, 65] },
  { dims: { keyHeads: 2, valueHeads: 8, headDim: 64 }, lengths: [1, 5, 257] },
];
const cases = sizes.flatMap(({ dims, lengths }) => lengths.map((tokens) => ({ ...dims, tokens })));

/** What an adapter like this one may be given, and ways to share a column among lanes that GPUs are given. */
function shapes(dims: DeltaNetDims): DeltaNetShape[] {
  const { subgroups, subgroupMinSize } = gpu.capabilities;
  const splits = subgroups ? [4, 8].filter((split) => split <= subgroupMinSize) : [];
  return [...deltaNetShapes(gpu, dims), ...splits.map((split) => ({ kind: 'scan', lanes: 64, split }) as const)];
}

describe.each(cases)('$keyHeads key, $valueHeads value heads of $headDim, $tokens tokens', ({ tokens, ...dims }) => {
  test.each(shapes(dims))('equals the recurrence from a state of random numbers, shape %o', async (shape) => {
    const inputs = randomInputs(dims, tokens, 7 * tokens);
    const before = randomState(dims, 3);
    const state = uploadState(before);
    const actual = await layer(dims, inputs, state, { shape });
    const expected = convReference(dims, inputs, before);
    expectClose(actual.y, expected.y);
    expectClose(actual.gates, expected.gates);
    const s = Float64Array.from(before.recurrent);
    // The largest elements are 30 times the rms, so that 2e-5 of it are some 5 units in their last place. Chunks add up more terms
    // before they take a decay from them.
    const tolerance = shape.kind === 'chunks' ? 3e-5 : 2e-5;
    expectClose(actual.o, scanReference(dims, expected.y, expected.gates, s), tolerance);
    expectClose(await readFloats(gpu, state.recurrent, s.length), s, tolerance);
    const conv = movedConv(before.conv, inputs.qkv, deltaChannels(dims));
    expectSame(await readFloats(gpu, state.conv, conv.length), conv);
  });
});

test.each([1, 2, 3, 4, 30, 64])('a pass cut after %i tokens gives what one pass gives', async (cut) => {
  const dims = { keyHeads: 2, valueHeads: 4, headDim: 64 };
  const tokens = 67;
  const inputs = randomInputs(dims, tokens, 11);
  const [whole, cutState] = [uploadState(randomState(dims, 5)), uploadState(randomState(dims, 5))];
  const expected = await layer(dims, inputs, whole);
  const first = await layer(dims, part(inputs, dims, 0, cut), cutState);
  const second = await layer(dims, part(inputs, dims, cut, tokens), cutState);
  // The same operations in the same order: bits are equal.
  for (const key of ['y', 'gates', 'o'] as const) {
    expectSame([...first[key], ...second[key]], expected[key]);
  }
  for (const key of ['conv', 'recurrent'] as const) {
    expectSame(new Float32Array(await gpu.read(cutState[key])), new Float32Array(await gpu.read(whole[key])));
  }
});

test.each([1, 2, 3, 4])(
  '%i tokens that are taken back leave the state as if they had never been read',
  async (back) => {
    const dims = { keyHeads: 2, valueHeads: 4, headDim: 64 };
    const kept = 5;
    const [read, more] = [randomInputs(dims, kept, 11), randomInputs(dims, 3, 12)];
    const before = randomState(dims, 5);
    const room = (state: Float32Array) => [...state, ...new Float32Array((kept - 1) * state.length)];
    const rolled = { conv: buffers.floats(room(before.conv)), recurrent: buffers.floats(room(before.recurrent)) };
    const straight = uploadState(before);
    await layer(dims, read, rolled, { kept });
    await layer(dims, part(read, dims, 0, kept - back), straight);
    const found = await layer(dims, { ...more, weight: read.weight, a: read.a, dt: read.dt }, rolled, { from: back });
    const expected = await layer(dims, { ...more, weight: read.weight, a: read.a, dt: read.dt }, straight);
    for (const key of ['y', 'gates', 'o'] as const) expectSame(found[key], expected[key]);
    for (const key of ['conv', 'recurrent'] as const) {
      const { length } = before[key];
      expectSame(await readFloats(gpu, rolled[key], length), await readFloats(gpu, straight[key], length));
    }
  },
);

test.each(deltaNetShapes(gpu, { keyHeads: 2, valueHeads: 4, headDim: 64 }))(
  'a pass that leaves its state in another place keeps the one it went on from, shape %o',
  async (shape) => {
    const dims = { keyHeads: 2, valueHeads: 4, headDim: 64 };
    const inputs = randomInputs(dims, 5, 13);
    const before = randomState(dims, 6);
    const unread = (state: Float32Array) => new Float32Array(state.length).fill(Number.NaN);
    const twice = {
      conv: buffers.floats([...unread(before.conv), ...before.conv]),
      recurrent: buffers.floats([...unread(before.recurrent), ...before.recurrent]),
    };
    const once = uploadState(before);
    const expected = await layer(dims, inputs, once, { shape });
    const found = await layer(dims, inputs, twice, { shape, from: 1, into: 0 });
    expectSame(found.o, expected.o);
    for (const key of ['conv', 'recurrent'] as const) {
      const { length } = before[key];
      const both = await readFloats(gpu, twice[key], 2 * length);
      expectSame(both.subarray(0, length), await readFloats(gpu, once[key], length));
      expectSame(both.subarray(length), before[key]);
    }
    // And the other way, from what was left.
    await layer(dims, inputs, once, { shape });
    await layer(dims, inputs, twice, { shape, from: 0, into: 1 });
    for (const key of ['conv', 'recurrent'] as const) {
      const { length } = before[key];
      const both = await readFloats(gpu, twice[key], 2 * length);
      expectSame(both.subarray(length), await readFloats(gpu, once[key], length));
    }
  },
);

test('a state of zeros is the start of a text', async () => {
  const dims = { keyHeads: 1, valueHeads: 2, headDim: 128 };
  const inputs = randomInputs(dims, 6, 2);
  const zeros = { conv: new Float32Array(3 * deltaChannels(dims)), recurrent: new Float32Array(2 * 128 * 128) };
  const actual = await layer(dims, inputs, uploadState(zeros));
  const { y, gates } = convReference(dims, inputs, zeros);
  expectClose(actual.o, scanReference(dims, y, gates, Float64Array.from(zeros.recurrent)));
});

test('gates reach their ends without overflow and keep small differences from 1', async () => {
  const dims = { keyHeads: 1, valueHeads: 12, headDim: 32 };
  const inputs = randomInputs(dims, 1, 2);
  inputs.alpha = Float32Array.from([-1000, -100, -30, -16, -12, -8, -1, 0, 1, 30, 100, 1e6]);
  inputs.beta = Float32Array.from([-1000, -100, -90, -30, -10, -1, 0, 1, 10, 30, 100, 1000]);
  inputs.a = new Float32Array(12).fill(-16);
  inputs.dt = new Float32Array(12);
  const state = randomState(dims, 1);
  const { gates } = await layer(dims, inputs, uploadState(state));
  const expected = convReference(dims, inputs, state).gates;
  const alphas = (list: ArrayLike<number>) => Array.from({ length: 12 }, (_, h) => list[2 * h]);
  const betas = (list: ArrayLike<number>) => Array.from({ length: 12 }, (_, h) => list[2 * h + 1]);
  expectClose(betas(gates), betas(expected), 1e-6);
  // A bias of α adds up over thousands of tokens: it must be right to the last bit or two of f32.
  expectClose(alphas(gates), alphas(expected), 2e-7);
});

test.each([
  { title: 'nothing is forgotten', alpha: 1 },
  { title: 'everything is forgotten', alpha: 0 },
  { title: 'little is forgotten', alpha: 1 - 2 ** -20 },
])('$title at α = $alpha over many tokens', async ({ alpha }) => {
  const dims = { keyHeads: 1, valueHeads: 2, headDim: 64 };
  for (const shape of deltaNetShapes(gpu, dims)) await expectRecurrence(dims, alpha, shape);
});

async function expectRecurrence(dims: DeltaNetDims, alpha: number, shape: DeltaNetShape): Promise<void> {
  const tokens = 257;
  const before = randomState(dims, 9);
  const inputs = randomInputs(dims, tokens, 4);
  const { y } = convReference(dims, inputs, before);
  const random = randomSource(1);
  const gates = Float32Array.from({ length: tokens * 4 }, (_, i) => (i & 1 ? random() : alpha));
  const state = uploadState(before);
  const qkv = Float32Array.from(y);
  const o = buffers.output(tokens * 128);
  const projected = buffers.floats(projections(dims, inputs));
  await run(gpu, (rec) =>
    deltaNet(rec, dims, { qkv: buffers.floats(qkv), gates: buffers.floats(gates), projected, o }, state, tokens, {
      shape,
    }),
  );
  const s = Float64Array.from(before.recurrent);
  expectClose(await readFloats(gpu, o, tokens * 128), scanReference(dims, qkv, gates, s));
  expectClose(await readFloats(gpu, state.recurrent, s.length), s);
}

test.each([
  { tokens: 1, heads: 1, headDim: 128 },
  { tokens: 5, heads: 12, headDim: 128 },
  { tokens: 3, heads: 2, headDim: 64 },
])('norms and gates $tokens tokens of $heads heads', async ({ tokens, heads, headDim }) => {
  const dims = { keyHeads: 1, valueHeads: heads, headDim };
  const floats = tokens * heads * headDim;
  const o = randomNormal(1, floats, 0.1);
  const z = randomNormal(2, floats, 3);
  const weight = randomNormal(3, headDim, 0.2, 1);
  const y = buffers.output(floats);
  const projected = buffers.floats(projections(dims, randomInputs(dims, tokens, 4), z));
  await run(gpu, (rec) =>
    gatedNorm(rec, dims, { o: buffers.floats(o), projected, weight: buffers.floats(weight), y }, tokens, EPS),
  );
  const expected = Array.from(o, (v, i) => {
    const row = o.subarray(i - (i % headDim), i - (i % headDim) + headDim);
    const mean = row.reduce((sum, u) => sum + u * u, 0) / headDim;
    return (v / Math.sqrt(mean + EPS)) * weight[i % headDim] * z[i] * sigmoid(z[i]);
  });
  expectClose(await readFloats(gpu, y, floats), expected);
});

test('chunks are for passes that fill one and keep one state', () => {
  const dims = { keyHeads: 1, valueHeads: 2, headDim: 64 };
  const [scan] = deltaNetShapes(gpu, dims);
  expect(scan.kind).toBe('scan');
  expect(deltaNetShape(gpu, dims, 64, 1)).toEqual(scan);
  choose(gpu, { deltaNet: { kind: 'chunks' } });
  expect(deltaNetShape(gpu, dims, 64, 1)).toEqual({ kind: 'chunks' });
  expect(deltaNetShape(gpu, dims, 64, 2)).toEqual(scan);
  expect(deltaNetShape(gpu, dims, 2, 1)).toEqual(scan);
  choose(gpu, {});
});

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture, golden } from '../../tools/testing/fixtures.ts';
import { GREEDY_SAMPLING } from '../../tools/testing/greedy.ts';
import { openTestGpu, testCapabilities } from '../../tools/testing/kernels.ts';
import type { OpenGpuOptions } from '../gpu/index.ts';
import { MATVEC_TOKENS, matmulShape } from '../kernels/matmul.ts';
import { loadTokenModel } from './index.ts';
import type { GenerateOptions, KvType, TokenModel } from './types.ts';

/** Fixture models and the files they are made of. */
const MODELS: Readonly<Record<string, readonly string[]>> = {
  'dense-f32': ['dense-f32.gguf'],
  'dense-legacy': ['dense-legacy.gguf'],
  'dense-k': ['dense-k.gguf'],
  'dense-iq': ['dense-iq.gguf'],
  'dense-mtp-f16': ['dense-mtp-f16.gguf'],
  'moe-f16': ['moe-f16.gguf'],
  'moe-q4_k_m': [1, 2, 3, 4].map((n) => `moe-q4_k_m-0000${n}-of-00004.gguf`),
  'moe-dynamic': ['moe-dynamic.gguf'],
};

const GREEDY: GenerateOptions = {
  maxTokens: 24,
  stopIds: new Set(),
  sampling: GREEDY_SAMPLING,
};

async function load(
  name: string,
  precision: 'f32' | 'f16' | 'int8',
  without: OpenGpuOptions['without'] = [],
  kvCache?: KvType,
): Promise<TokenModel> {
  const files = await Promise.all(MODELS[name].map((file) => fixture(`models/${file}`)));
  const { model } = await loadTokenModel(
    { model: files, gpu: await testGpu(), precision, kvCache, contextLength: 4096, store: 'none' },
    { without },
  );
  return model;
}

/** Each recorded row: ours, and the reference's. */
function pairs(
  all: Float32Array,
  reference: Awaited<ReturnType<typeof golden>>,
  prompt: number,
): (readonly [ours: Float32Array, expected: Float32Array])[] {
  const n = reference.n_vocab;
  const expected = reference.logits(prompt);
  return reference.prompts[prompt].positions.map(
    (p, i) => [all.subarray(p * n, (p + 1) * n), expected.subarray(i * n, (i + 1) * n)] as const,
  );
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= worst)) worst = difference; // also catches NaN
  }
  return worst;
}

async function greedy(model: TokenModel, ids: readonly number[]): Promise<number[]> {
  const tokens: number[] = [];
  for await (const { id } of model.generate(ids, GREEDY)) tokens.push(id);
  return tokens;
}

/** Mean Kullback–Leibler divergence of the softmaxes of two rows of logits, in nats: of `a` from the reference `b`. */
function divergence(a: Float32Array, b: Float32Array): number {
  const logZ = (row: Float32Array) => {
    const most = row.reduce((x, y) => Math.max(x, y), -Infinity);
    return most + Math.log(row.reduce((sum, v) => sum + Math.exp(v - most), 0));
  };
  const [za, zb] = [logZ(a), logZ(b)];
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.exp(b[i] - zb) * (b[i] - zb - (a[i] - za));
  return sum;
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return ab / Math.sqrt(aa * bb);
}

const capabilities = await testCapabilities();

async function expectGolden(model: TokenModel, name: string): Promise<void> {
  const reference = await golden(name);
  for (const [i, { ids, positions }] of reference.prompts.entries()) {
    const worst = pairs(await model.logits(ids, { all: true }), reference, i).map(([row, expected]) =>
      largestDifference(row, expected),
    );
    expect(worst).toHaveLength(positions.length);
    expect(Math.max(...worst), `prompt of ${ids.length}`).toBeLessThanOrEqual(1e-3);
  }
}

/** How near logits are to a prompt's reference: the least cosine of a row, and the mean divergence of their distributions. */
interface Likeness {
  cosine: number;
  divergence: number;
}

async function likeness(model: TokenModel, name: string): Promise<(Likeness & { tokens: number })[]> {
  const reference = await golden(name);
  const found = [];
  for (const [i, { ids }] of reference.prompts.entries()) {
    const rows = pairs(await model.logits(ids, { all: true }), reference, i);
    const divergences = rows.map(([row, expected]) => divergence(row, expected));
    found.push({
      tokens: ids.length,
      cosine: Math.min(...rows.map(([row, expected]) => cosine(row, expected))),
      divergence: divergences.reduce((a, b) => a + b) / rows.length,
    });
  }
  return found;
}

/** Of every prompt: no row of logits far from the reference's, and their distributions near it on average. */
function expectNear(found: Awaited<ReturnType<typeof likeness>>, least: Likeness): void {
  for (const { tokens, cosine, divergence } of found) {
    expect(cosine, `prompt of ${tokens}`).toBeGreaterThan(least.cosine);
    expect(divergence, `prompt of ${tokens}`).toBeLessThanOrEqual(least.divergence);
  }
}

async function expectAlike(model: TokenModel, name: string): Promise<void> {
  expectNear(await likeness(model, name), { cosine: 0.999, divergence: 1e-3 });
}

describe.each(Object.keys(MODELS))('%s in f32 against llama.cpp', (name) => {
  let model: TokenModel;
  beforeAll(async () => {
    model = await load(name, 'f32');
  });
  afterAll(() => model?.dispose());

  // Lengths 1, 3, 65, 130 and 700: decode, one pass, several passes, across chunk borders.
  test('logits differ by at most 1e-3 at every recorded position', () => expectGolden(model, name));

  test('greedy continuations are the same 24 tokens', async () => {
    // The browser reads the longest prompt once, for its logits, where Node goes on from it.
    const prompts = (await golden(name)).prompts.filter(({ ids }) => !inject('alsoInNode') || ids.length < 700);
    for (const { ids, greedy: expected } of prompts) {
      expect((await greedy(model, ids)).slice(0, expected.length), `prompt of ${ids.length}`).toEqual(expected);
    }
  });
});

// Without subgroups a model runs the kernels that real GPUs of unknown subgroup width run: tiles in workgroup memory.
const FEW: readonly string[] = ['dense-k', 'moe-f16', 'moe-q4_k_m'];
const halfVariants = [
  ...Object.keys(MODELS).map((name) => ({ name, title: 'f16', without: [] })),
  ...FEW.map((name) => ({ name, title: 'f16 without subgroups', without: ['subgroups' as const] })),
];
describe.runIf(capabilities.f16).each(halfVariants)('$name in $title against llama.cpp', ({ name, without }) => {
  let model: TokenModel;
  beforeAll(async () => {
    model = await load(name, 'f16', without);
  });
  afterAll(() => model?.dispose());

  test('logits have cosine ≥ 0.999 and a mean divergence ≤ 1e-3', () => expectAlike(model, name));
});

/**
 * Activations of 8 bits: twice what was seen on lavapipe (docs/measurements/matmul.md). Near-tied routers choose other experts,
 * hence the rows of the second that are further off. In Node only, since decoding is the same code everywhere.
 */
const ROUNDED: readonly (Likeness & { name: string })[] = [
  { name: 'dense-k', cosine: 0.996, divergence: 0.02 },
  { name: 'moe-q4_k_m', cosine: 0.94, divergence: 0.06 },
];
describe.runIf(!inject('alsoInNode')).each(ROUNDED)('$name in int8 against llama.cpp', ({ name, ...least }) => {
  let model: TokenModel;
  beforeAll(async () => {
    model = await load(name, 'int8');
  });
  afterAll(() => model?.dispose());

  test('logits of prompts are near, and those of few tokens as with floats', async () => {
    expect(model.info.precision).toBe('int8');
    const gpu = await openTestGpu();
    const rounds = matmulShape(gpu, 'wide', false, true).kind.startsWith('int8');
    gpu.dispose();
    const found = await likeness(model, name);
    expectNear(found, least);
    for (const { tokens, divergence } of found) {
      if (tokens <= MATVEC_TOKENS || !rounds) expect(divergence).toBeLessThan(1e-6);
      else expect(divergence, 'activations were not rounded').toBeGreaterThan(1e-6);
    }
  });
});

// 8-bit keys and values need no f16: on adapters without it they are tried with f32 arithmetic.
describe.each(['dense-f32', 'moe-f16'])('%s with a cache of q8_0 against llama.cpp', (name) => {
  let model: TokenModel;
  beforeAll(async () => {
    model = await load(name, capabilities.f16 ? 'f16' : 'f32', [], 'q8_0');
  });
  afterAll(() => model?.dispose());

  test('logits have cosine ≥ 0.999 and a mean divergence ≤ 1e-3', () => expectAlike(model, name));
});

// Minutes on SwiftShader, whose kernels without subgroups have tests of their own.
describe.runIf(!inject('alsoInNode')).each(FEW)('%s in f32 without subgroups against llama.cpp', (name) => {
  let model: TokenModel;
  beforeAll(async () => {
    model = await load(name, 'f32', ['subgroups']);
  });
  afterAll(() => model?.dispose());

  test('logits differ by at most 1e-3 at every recorded position', () => expectGolden(model, name));
});

describe('passes of dense-f32', () => {
  let model: TokenModel;
  beforeAll(async () => {
    model = await load('dense-f32', 'f32');
  });
  afterAll(() => model?.dispose());

  // 257 = one full pass and one token; 300 read as a prompt, against the same tokens with all but 43 decoded one by one.
  test.each([255, 256, 257, 300, 513])(
    'a prompt of %s tokens gives the same logits whole and as generated steps',
    async (length) => {
      const ids = Array.from({ length }, (_, i) => (i * 7919 + 13) % 700);
      const whole = await model.logits(ids);
      const all = await model.logits(ids, { all: true });
      expect(largestDifference(whole, all.subarray((length - 1) * whole.length))).toBeLessThanOrEqual(1e-4);
    },
  );

  test('greedy tokens do not depend on how much of them was prompt', async () => {
    const { prompts } = await golden('dense-f32');
    const { ids, greedy: expected } = prompts[3];
    for (const given of [1, 7, 23]) {
      const rest = await greedy(model, [...ids, ...expected.slice(0, given)]);
      expect(rest.slice(0, 24 - given)).toEqual(expected.slice(given));
    }
  });

  test('a conversation outgrows its first cache without a trace', async () => {
    // 1,024 tokens is the first capacity; the answer to a prompt of 1,015 crosses it.
    const ids = Array.from({ length: 1015 }, (_, i) => (i * 6007 + 5) % 700);
    const answer = await greedy(model, ids);
    const whole = await model.logits([...ids, ...answer.slice(0, 23)]);
    expect(whole.indexOf(whole.reduce((a, b) => Math.max(a, b)))).toBe(answer[23]);
  });
});

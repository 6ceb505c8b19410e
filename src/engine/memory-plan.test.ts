/** Plans, and that what was planned is what is taken. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { SyntheticName } from '../../tools/synthetic-model.ts';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture } from '../../tools/testing/fixtures.ts';
import { GREEDY_SAMPLING } from '../../tools/testing/greedy.ts';
import { syntheticBlobs } from '../../tools/testing/synthetic-blobs.ts';
import { Engine } from '../index.ts';
import { Tokenizer } from '../text/index.ts';
import { openWeights } from '../weights/index.ts';
import { loadTokenModel } from './index.ts';
import type { MemoryPlan, TokenModel } from './types.ts';

const SHARDS = [1, 2, 3, 4].map((n) => `moe-q4_k_m-0000${n}-of-00004.gguf`);
const SMALL = ['moe-f16.gguf'];
const TRAINED = ['../../demo/models/tiny.gguf'];
const CONTEXT = 1500;

const files = (names: readonly string[]) => Promise.all(names.map((name) => fixture(`models/${name}`)));

async function plan(names: readonly string[], gpuMemoryBytes?: number): Promise<MemoryPlan> {
  const options = { gpu: await testGpu(), contextLength: CONTEXT, precision: 'f32', gpuMemoryBytes } as const;
  return Engine.plan(await files(names), options);
}

async function load(names: readonly string[], gpuMemoryBytes?: number): Promise<TokenModel> {
  const options = { gpu: await testGpu(), contextLength: CONTEXT, precision: 'f32', store: 'none' } as const;
  return (await loadTokenModel({ ...options, model: await files(names), gpuMemoryBytes })).model;
}

const tokens = (count: number) => Array.from({ length: count }, (_, i) => (i * 7919 + 13) % 700);

interface Work {
  readonly prompt: readonly number[];
  /** Tokens to generate. */
  readonly answer: number;
}

/** A few tokens after a prompt, and all logits of another that begins alike. */
async function work(model: TokenModel, { prompt, answer }: Work = { prompt: tokens(40), answer: 4 }) {
  const greedy: number[] = [];
  const options = { maxTokens: answer, sampling: GREEDY_SAMPLING, stopIds: new Set<number>(), checkpoints: [20] };
  for await (const { id } of model.generate(prompt, options)) greedy.push(id);
  const logits = await model.logits([...prompt, ...greedy], { all: true });
  return { greedy, logits: new Uint32Array(logits.buffer) };
}

/** What someone asks the trained model, and a thought about it. */
const CHAT = `<|im_start|>user
My cat is called Otto. What is 37 + 48?<|im_end|>
<|im_start|>assistant
<think>
`;

const EXPERT_MODELS = [
  {
    title: 'random weights in four files',
    names: SHARDS,
    counts: { layers: 4, experts: 10, topK: 3 },
    parts: { 'every expert': 10, 'half of them': 5, 'the fewest': 3 },
  },
  {
    title: 'the trained model',
    names: TRAINED,
    counts: { layers: 9, experts: 16, topK: 4 }, // with its MTP block
    parts: { 'every expert': 16, 'half of them': 8, 'a quarter, the fewest': 4 },
    chat: { text: CHAT, answer: 24 },
  },
];

describe.each(EXPERT_MODELS)('with a budget for a part of the experts, $title', ({ names, counts, parts, chat }) => {
  const { layers, experts, topK } = counts;
  let asked: Work | undefined;
  let expected: Awaited<ReturnType<typeof work>>;
  let sizes: MemoryPlan;
  beforeAll(async () => {
    sizes = await plan(names);
    if (chat) {
      const { metadata } = await openWeights(await files(names), { store: 'none' });
      asked = { prompt: new Tokenizer(metadata).encode(chat.text, { special: true }), answer: chat.answer };
    }
    const all = await load(names);
    expected = await work(all, asked);
    expect(all.stats().expertMisses).toBe(0);
    await all.dispose();
  });

  test.each(Object.entries(parts))('%s: stays within it, and gives the same bits as without one', async (_, slots) => {
    const { minimumBytes, fullBytes } = sizes;
    // A slot takes as much as the next. Some memory more, so that snapshots have their part.
    const share = (slots - topK) / (experts - topK);
    const budget = Math.ceil(minimumBytes + 1.2 * share * (fullBytes - minimumBytes));
    const planned = await plan(names, budget);
    expect(planned.totalBytes).toBeLessThanOrEqual(budget);
    const sum = planned.slots.reduce((a, b) => a + b);
    expect(sum).toBeGreaterThanOrEqual(slots * layers);
    expect(sum).toBeLessThan((slots + 1) * layers);

    const model = await load(names, budget);
    expect(model.stats().expertSlots).toBe(sum);
    const found = await work(model, asked);
    const { peakGpuBytes, expertMisses } = model.stats();
    expect(peakGpuBytes).toBeLessThanOrEqual(budget);
    // The plan is not generous either: a ring that is not needed, programs that were not recorded.
    expect(peakGpuBytes).toBeGreaterThan(0.7 * planned.totalBytes);
    expect(expertMisses > 0).toBe(slots < experts);
    await model.dispose();
    expect(found).toEqual(expected);
  });
});

describe('a model of experts', () => {
  test('without a budget has a slot for every expert', async () => {
    const planned = await plan(SHARDS);
    const { slots, experts, streamedBytes, minimumBytes, fullBytes, sharedBytes, expertBytes } = planned;
    expect(planned.stepsAhead).toBe(true);
    expect(experts).toBe(10);
    expect(slots).toEqual([10, 10, 10, 10]);
    expect(streamedBytes).toBe(0);
    expect(minimumBytes).toBeLessThan(fullBytes);
    expect(sharedBytes).toBeGreaterThan(1e6);
    expect(expertBytes).toBeGreaterThan(1e6);
  });

  test('more budget never means fewer slots, and a byte less than the least is refused with what it would take', async () => {
    const { minimumBytes, fullBytes } = await plan(SHARDS);
    let before = 0;
    for (const share of [0, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 3]) {
      const { slots } = await plan(SHARDS, Math.ceil(minimumBytes + share * (fullBytes - minimumBytes)));
      const sum = slots.reduce((a, b) => a + b);
      expect(sum).toBeGreaterThanOrEqual(before);
      before = sum;
    }
    expect(before).toBe(40);
    const refused = {
      code: 'out-of-memory',
      param: 'gpuMemoryBytes',
      message: expect.stringContaining(String(minimumBytes)),
    };
    await expect(plan(SHARDS, minimumBytes - 1)).rejects.toMatchObject(refused);
    await expect(load(SHARDS, minimumBytes - 1)).rejects.toMatchObject(refused);
  });

  test('the estimate of speed follows what it assumes', async () => {
    const { minimumBytes } = await plan(SHARDS);
    const { speed, stepsAhead } = await plan(SHARDS, minimumBytes);
    expect(stepsAhead).toBe(false); // a step that waits for experts would have to be waited for
    expect(speed.assumptions.hitRate).toBeCloseTo(0.3);
    const { gpuBytesPerSecond, storeBytesPerSecond } = speed.assumptions;
    const seconds = speed.gpuBytesPerToken / gpuBytesPerSecond + speed.missBytesPerToken / storeBytesPerSecond;
    expect(speed.tokensPerSecond).toBeCloseTo(1 / seconds);
  });
});

test('a dense model has no slots, and loads with the least that its plan names', async () => {
  const planned = await plan(['dense-k.gguf']);
  expect(planned).toMatchObject({ experts: 0, slots: [], streamedBytes: 0, expertBytes: 0 });
  expect(planned.minimumBytes).toBe(planned.fullBytes);
  expect(planned.stepsAhead).toBe(true);
  expect((await plan(['dense-k.gguf'], planned.minimumBytes)).stepsAhead).toBe(false);
  const model = await load(['dense-k.gguf'], planned.minimumBytes);
  await work(model);
  expect(model.stats().peakGpuBytes).toBeLessThanOrEqual(planned.minimumBytes);
  await model.dispose();
  await expect(plan(['dense-k.gguf'], 1e6)).rejects.toMatchObject({ code: 'out-of-memory' });
});

test('steps go ahead where a budget has room for one more state, which the plan counts', async () => {
  const name = 'dense-k.gguf';
  const least = await plan([name], (await plan([name])).minimumBytes);
  const state = (await plan([name])).contextBytes - least.contextBytes;
  expect(state).toBeGreaterThan(0);
  const budget = Math.ceil(least.totalBytes + 1.5 * state);
  const planned = await plan([name], budget);
  expect(planned.stepsAhead).toBe(true);
  expect(planned.totalBytes - planned.snapshotBytes).toBeGreaterThanOrEqual(least.totalBytes + state);
  const model = await load([name], budget);
  await work(model);
  expect(model.stats().peakGpuBytes).toBeLessThanOrEqual(planned.totalBytes);
  await model.dispose();
});

test('the least budget holds a conversation that outgrows its first cache', async () => {
  const { minimumBytes } = await plan(SMALL);
  const model = await load(SMALL, minimumBytes);
  await work(model, { prompt: tokens(1026), answer: 4 });
  expect(model.stats().peakGpuBytes).toBeLessThanOrEqual(minimumBytes);
  await model.dispose();
});

describe('models of full size', () => {
  const planned = async (name: SyntheticName, gpuMemoryBytes?: number) => {
    const options = { gpu: await testGpu(), contextLength: 32768, precision: 'f32', gpuMemoryBytes } as const;
    return Engine.plan(syntheticBlobs(name), options);
  };

  test('397B-A17B gets as many slots as 190 GB hold, in bindings that the device allows', async () => {
    const plan = await planned('397b-a17b', 190e9);
    expect(plan.experts).toBe(512);
    expect(plan.slots).toHaveLength(60);
    const sum = plan.slots.reduce((a, b) => a + b);
    expect(Math.max(...plan.slots) - Math.min(...plan.slots)).toBeLessThanOrEqual(1);
    expect(plan.totalBytes).toBeLessThanOrEqual(190e9);
    // One expert more would not have fitted.
    expect(plan.totalBytes + plan.expertBytes / sum).toBeGreaterThan(190e9);
    expect(plan.streamedBytes + plan.expertBytes).toBeGreaterThan(200e9);
    expect(plan.minimumBytes).toBeLessThan(25e9);
    expect(plan.speed.tokensPerSecond).toBeGreaterThan(0.5);
  });

  test('35B-A3B needs no streaming where it fits, and runs with far less', async () => {
    const all = await planned('35b-a3b');
    expect(all.slots).toEqual(Array(40).fill(256));
    expect(all.streamedBytes).toBe(0);
    const few = await planned('35b-a3b', 8e9);
    expect(few.totalBytes).toBeLessThanOrEqual(8e9);
    expect(few.streamedBytes).toBeGreaterThan(10e9);
    expect(few.speed.tokensPerSecond).toBeLessThan(all.speed.tokensPerSecond);
  });
});

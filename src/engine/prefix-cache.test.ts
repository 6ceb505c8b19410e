/** Going on from what was read before gives what a fresh run gives, for a dense model and one of experts. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture } from '../../tools/testing/fixtures.ts';
import { GREEDY_SAMPLING } from '../../tools/testing/greedy.ts';
import { type WatchedGpu, watchGpu } from '../../tools/testing/watched-gpu.ts';
import { QwenError } from '../errors.ts';
import type { Gpu } from '../gpu/index.ts';
import type { SequenceState } from '../model/state.ts';
import { loadTokenModel } from './index.ts';
import { PrefixCache } from './prefix-cache.ts';
import type { GenerateOptions, TokenModel } from './types.ts';

const MODELS: Readonly<Record<string, readonly string[]>> = {
  'dense-f32': ['dense-f32.gguf'],
  'moe-q4_k_m': [1, 2, 3, 4].map((n) => `moe-q4_k_m-0000${n}-of-00004.gguf`),
};

const GREEDY: GenerateOptions = {
  maxTokens: 6,
  stopIds: new Set(),
  topLogprobs: 20,
  sampling: GREEDY_SAMPLING,
};

/** Same sums in passes of other lengths, so other kernels and another order: the bound of whole against stepped passes. */
const TOLERANCE = 1e-3;

const tokens = (count: number, seed = 0) => Array.from({ length: count }, (_, i) => ((i + seed) * 7919 + 13) % 700);

describe.each(Object.keys(MODELS))('%s', (name) => {
  let watched: WatchedGpu;
  let model: TokenModel;
  let answers: { prompt: number[]; ids: number[]; first: Map<number, number> }[];

  beforeEach(async () => {
    answers = [];
    watched = watchGpu(await testGpu());
    model = await load();
  });

  afterEach(async () => {
    await model.dispose();
    expect(watched.liveBuffers).toBe(0);
  });

  async function load(): Promise<TokenModel> {
    const files = await Promise.all(MODELS[name].map((file) => fixture(`models/${file}`)));
    const options = { model: files, gpu: watched.gpu, precision: 'f32', contextLength: 2048, store: 'none' } as const;
    return (await loadTokenModel(options)).model;
  }

  /** Answers, and returns how many tokens of the prompt were not read again. */
  async function ask(prompt: number[], options: Partial<GenerateOptions> = {}): Promise<number> {
    const before = model.stats().reusedTokens;
    const ids: number[] = [];
    let first = new Map<number, number>();
    for await (const { id, top } of model.generate(prompt, { ...GREEDY, ...options })) {
      if (ids.length === 0) first = new Map(top?.map(({ id, logprob }) => [id, logprob]));
      ids.push(id);
    }
    answers.push({ prompt, ids, first });
    return model.stats().reusedTokens - before;
  }

  /** Every answer so far, against a fresh run over its prompt. */
  async function expectAsFresh(): Promise<void> {
    for (const { prompt, ids, first } of answers) {
      const logits = await model.logits(prompt); // begins anew
      const most = logits.reduce((a, b) => Math.max(a, b));
      const logSum = most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
      expect(first.size).toBe(20);
      for (const [id, logprob] of first) expect(Math.abs(logits[id] - logSum - logprob)).toBeLessThanOrEqual(TOLERANCE);
      const fresh: number[] = [];
      for await (const { id } of model.generate(prompt, { ...GREEDY, checkpoints: [] })) fresh.push(id);
      expect(ids).toEqual(fresh.slice(0, ids.length));
    }
  }

  test('the same prompt again reads its last token alone', async () => {
    const prompt = tokens(300);
    expect(await ask(prompt)).toBe(0);
    expect(await ask(prompt)).toBe(299);
    await expectAsFresh();
  });

  test('a prompt that holds the answer goes on behind it', async () => {
    const prompt = tokens(70);
    await ask(prompt);
    const longer = [...prompt, ...answers[0].ids, ...tokens(40, 3)];
    // The last token of an answer is chosen and not read.
    expect(await ask(longer)).toBe(75);
    await expectAsFresh();
  });

  test('a prompt that leaves the sequence goes back to the last checkpoint before that', async () => {
    const prompt = tokens(300);
    expect(await ask(prompt, { checkpoints: [40, 290] })).toBe(0);
    expect(await ask([...prompt.slice(0, 295), ...tokens(20, 5)], { checkpoints: [40, 290, 310] })).toBe(290);
    expect(await ask([...prompt.slice(0, 100), ...tokens(30, 9)], { checkpoints: [40] })).toBe(40);
    // What came behind the place where the sequence was left is gone.
    expect(await ask(prompt)).toBe(40);
    expect(await ask([...prompt.slice(0, 39), 1, 2])).toBe(0);
    await expectAsFresh();
  });

  test('turns of a conversation reuse all before the answer', async () => {
    let prompt = tokens(60);
    for (let turn = 0; turn < 12; turn++) {
      const checkpoint = prompt.length - 5;
      const reused = await ask(prompt, { checkpoints: [20, checkpoint], maxTokens: 3 });
      expect(reused).toBe(turn === 0 ? 0 : checkpoint - 40);
      prompt = [...prompt.slice(0, checkpoint), ...tokens(45, turn + 1)];
    }
    answers = answers.slice(-2);
    expect(await ask(tokens(25))).toBe(20); // the first checkpoint outlives those between
    await expectAsFresh();
  });

  test('a stop within the prompt leaves nothing wrong behind', async () => {
    const prompt = tokens(600);
    const controller = new AbortController();
    const stopped = model.generate(prompt, { ...GREEDY, checkpoints: [300] }, controller.signal).next();
    controller.abort(); // the first pass of 256 is on its way
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
    expect(await ask(prompt)).toBe(256);
    await expectAsFresh();
  });
});

describe('memory', () => {
  /** Snapshots of 100 bytes on a device with so many left. */
  function cache(freeBytes: number, createBuffer: () => unknown = () => ({})) {
    const state = {
      position: 0,
      recurrentBytes: 100,
      save: () => {},
      restore: (_: unknown, position: number) => {
        state.position = position;
      },
      reset: () => {
        state.position = 0;
      },
    };
    const gpu = { memoryBytes: 1000 + freeBytes, bytes: 1000, createBuffer: vi.fn(createBuffer) };
    const prefix = new PrefixCache(gpu as unknown as Gpu, state as unknown as SequenceState);
    const keepAt = (...positions: number[]) => {
      for (const position of positions) {
        prefix.advance(tokens(position - state.position, state.position));
        state.position = position;
        prefix.keep();
      }
    };
    return { prefix, gpu, keepAt };
  }

  test.each([
    [799, []],
    [800, [60]],
    [1600, [50, 60]],
    [2400, [10, 50, 60]],
    [Infinity, [10, 20, 30, 40, 50, 60]],
  ])('of %s free bytes an eighth is for snapshots, the first and the last of all', (free, positions) => {
    const { prefix, keepAt } = cache(free);
    keepAt(10, 20, 30, 40, 50, 60);
    expect(prefix.positions).toEqual(positions);
  });

  test('holds eight at most, and uses the buffers of those that are gone', () => {
    const { prefix, gpu, keepAt } = cache(Infinity);
    keepAt(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    expect(prefix.positions).toEqual([1, 4, 5, 6, 7, 8, 9, 10]);
    expect(prefix.resume([...tokens(6), 1, 1])).toBe(6);
    expect(prefix.positions).toEqual([1, 4, 5, 6]);
    keepAt(8, 9);
    expect(gpu.createBuffer).toHaveBeenCalledTimes(8);
  });

  test('is not asked for in vain: what it lacks is done without, what else fails is told', () => {
    const short = cache(Infinity, () => {
      throw new QwenError('out-of-memory', 'Full.');
    });
    short.keepAt(10);
    expect(short.prefix.positions).toEqual([]);
    const lost = cache(Infinity, () => {
      throw new QwenError('device-lost', 'Gone.');
    });
    expect(() => lost.keepAt(10)).toThrow('Gone.');
  });
});

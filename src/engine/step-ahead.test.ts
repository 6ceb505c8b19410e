/** Steps that are submitted before the last token is known: the answer comes sooner, and nothing else is different. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture } from '../../tools/testing/fixtures.ts';
import { GREEDY_SAMPLING } from '../../tools/testing/greedy.ts';
import { openTestGpu } from '../../tools/testing/kernels.ts';
import { type WatchedGpu, watchGpu } from '../../tools/testing/watched-gpu.ts';
import type { CandidateList } from '../kernels/candidates.ts';
import { loadTextModel, type TextModel } from '../model/text-model.ts';
import { openWeights } from '../weights/index.ts';
import { loadTokenModel } from './index.ts';
import { StepRunner } from './step-runner.ts';
import type { GeneratedToken, GenerateOptions, TokenModel } from './types.ts';

const NO_PENALTIES = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };

const tokens = (count: number, seed = 0) => Array.from({ length: count }, (_, i) => ((i + seed) * 7919 + 13) % 700);
const bits = (floats: Float32Array<ArrayBuffer>) => new Uint32Array(floats.buffer, floats.byteOffset, floats.length);

/** Ids by falling logit. */
function order({ ids, logits }: CandidateList): number[] {
  const sorted = Array.from(ids.keys()).sort((a, b) => logits[b] - logits[a] || ids[a] - ids[b]);
  return sorted.map((i) => ids[i]);
}

/** All that a list says; the GPU writes it in any order. */
function said({ ids, logits, logSumExp }: CandidateList): unknown {
  const words = bits(logits as Float32Array<ArrayBuffer>);
  return [logSumExp, new Map(Array.from(ids, (id, i) => [id, words[i]] as const).sort(([a], [b]) => a - b))];
}

describe.each(['dense-f32.gguf', 'moe-f16.gguf'])('%s', (file) => {
  const gpuOpened = openTestGpu();
  let model: TextModel;
  /** One that goes ahead, and one that does not. */
  let runners: StepRunner[];
  beforeAll(async () => {
    const gpu = await gpuOpened;
    const weights = await openWeights(await fixture(`models/${file}`), { store: 'none' });
    model = await loadTextModel(gpu, weights);
    weights.close();
    runners = [true, false].map((ahead) => new StepRunner(gpu, model, { contextLength: 1200, f16: false, ahead }));
  });
  afterAll(async () => {
    const gpu = await gpuOpened;
    for (const runner of runners) runner.dispose();
    model.dispose();
    expect(gpu.liveBuffers).toBe(0);
    gpu.dispose();
  });

  /** Names what the DeltaNet layers remember: the bits themselves are many, and slow to compare in a report. */
  async function remembered({ state }: StepRunner): Promise<string> {
    const gpu = await gpuOpened;
    const copy = gpu.createBuffer('copy of the state', state.recurrentBytes);
    state.save(copy);
    const digest = await crypto.subtle.digest('SHA-256', await gpu.read(copy));
    copy.dispose();
    return String(new Uint8Array(digest));
  }

  /**
   * Reads what is left of `ids`, then the tokens that are chosen.
   * @param open whether the answer could go on, so that a step has been submitted that is not asked for
   * @param choose which of the candidates is taken
   */
  async function answer(runner: StepRunner, ids: readonly number[], count: number, { open = false, choose = 0 } = {}) {
    await runner.read(ids.slice(runner.state.position, -1));
    const lists: unknown[] = [];
    const chosen: number[] = [];
    let next = ids.at(-1)!;
    for (let n = 1; n <= count; n++) {
      const list = await runner.stepAhead(next, NO_PENALTIES, { more: open || n < count });
      lists.push(said(list));
      next = order(list)[n % 3 === 2 ? choose : 0];
      chosen.push(next);
    }
    const { position } = runner.state;
    return { lists, chosen, position, read: [...runner.prefix.tokens], state: await remembered(runner) };
  }

  test.each([
    { prompt: 1, count: 1 },
    { prompt: 1, count: 8 },
    { prompt: 7, count: 2 },
    { prompt: 40, count: 9 },
  ])('$count tokens behind $prompt: the same candidates, logits and states, bit for bit', async ({ prompt, count }) => {
    const ids = tokens(prompt, count);
    const found: unknown[] = [];
    for (const runner of runners) {
      runner.reset();
      found.push([await answer(runner, ids, count), bits(await runner.lastLogits())]);
    }
    expect(found[0]).toEqual(found[1]);
  });

  test.each([1, 2, 4])('an answer that ends after %i tokens with a step on its way', async (count) => {
    const ids = tokens(20, 3);
    const found: unknown[] = [];
    for (const runner of runners) {
      runner.reset();
      const first = await answer(runner, ids, count, { open: true });
      // The last token was chosen, and not read.
      expect(first.read).toEqual([...ids, ...first.chosen.slice(0, -1)]);
      runner.prefix.keep();
      const next = [...first.read, ...tokens(3 * count, 50)];
      const reused = runner.resume(next);
      expect(reused).toBe(first.position);
      const second = await answer(runner, next, 3, { open: true });
      const logits = bits(await runner.lastLogits());
      // Back to the place that was kept while a step was on its way.
      const other = [...first.read, ...tokens(5, 300)];
      expect(runner.resume(other)).toBe(first.position);
      found.push([first, second, await answer(runner, other, 3), bits(await runner.lastLogits()), logits.length]);
    }
    expect(found[0]).toEqual(found[1]);
  });

  test('other passes while a step is on its way: it is as if that had never been', async () => {
    const ids = tokens(12, 8);
    const found: unknown[] = [];
    for (const runner of runners) {
      runner.reset();
      const first = await answer(runner, ids, 2, { open: true });
      // The very token that the step ahead reads, by another way.
      const list = await runner.step([first.chosen[1]], NO_PENALTIES);
      const again = await runner.stepAhead(order(list)[0], NO_PENALTIES, { more: true });
      await runner.read([...tokens(3, 40), first.chosen[0]]);
      found.push([first, said(list), said(again), await answer(runner, [...runner.prefix.tokens, 5], 3)]);
    }
    expect(found[0]).toEqual(found[1]);
  });

  test('whoever takes another token than the likeliest gets what follows that', async () => {
    const found: unknown[] = [];
    for (const runner of runners) {
      runner.reset();
      found.push(await answer(runner, tokens(9, 2), 8, { choose: 3 }));
    }
    expect(found[0]).toEqual(found[1]);
  });

  // It is the same code for all models, and a long prompt is the dear part.
  if (file === 'moe-f16.gguf') return;
  test('a conversation that outgrows its first cache', async () => {
    const found: unknown[] = [];
    for (const runner of runners) {
      runner.reset();
      found.push(await answer(runner, tokens(1020), 8, { open: true }));
    }
    expect(found[0]).toEqual(found[1]);
    expect(runners[0].state.capacity).toBe(1200);
  });
});

describe('answers', () => {
  /** The likeliest token by another way, in which no step goes ahead. */
  const DRAWN: GenerateOptions['sampling'] = { ...GREEDY_SAMPLING, temperature: 1, topK: 1, seed: 1 };
  let watched: WatchedGpu;
  let model: TokenModel;
  const load = async () => {
    const options = { model: await fixture('models/dense-f32.gguf'), gpu: watched.gpu, store: 'none' } as const;
    return (await loadTokenModel({ ...options, precision: 'f32', contextLength: 120 })).model;
  };
  beforeAll(async () => {
    watched = watchGpu(await testGpu());
    model = await load();
    expect(model.info.plan?.stepsAhead).toBe(true);
  });
  afterAll(async () => {
    await model.dispose();
    expect(watched.liveBuffers).toBe(0);
  });

  interface Asked extends Partial<GenerateOptions> {
    /** Token behind which the consumer wants no more, or a stop is asked for. */
    leaveAfter?: number;
    abortAfter?: number;
  }

  async function ask(prompt: readonly number[], { leaveAfter, abortAfter, ...options }: Asked = {}) {
    const found: GeneratedToken[] = [];
    const controller = new AbortController();
    const asked = { maxTokens: 8, stopIds: new Set<number>(), sampling: GREEDY_SAMPLING, topLogprobs: 5, ...options };
    const before = model.stats().reusedTokens;
    const submits = watched.submits;
    let atFirst = 0;
    try {
      for await (const token of model.generate(prompt, asked, controller.signal)) {
        if (found.length === 0) atFirst = watched.submits - submits;
        found.push(token);
        if (found.length === leaveAfter) break;
        if (found.length === abortAfter) controller.abort();
      }
    } catch (error) {
      expect(error).toMatchObject({ name: 'AbortError' });
    }
    return { found, atFirst, reused: model.stats().reusedTokens - before };
  }

  /** From a sequence that shares nothing with the ones before. */
  async function anew(prompt: readonly number[], options?: Asked) {
    await model.logits([699]);
    return ask(prompt, options);
  }

  const bias = new Map([
    [13, 2],
    [40, -100],
    [77, 1.5],
  ]);
  test.each([
    { title: 'greedy', settings: {}, ahead: 1 },
    { title: 'with a bias', settings: { logitBias: bias }, ahead: 1 },
    { title: 'with a penalty, which the next token changes', settings: { presencePenalty: 1 }, ahead: 0 },
  ])('$title: the same tokens and log probabilities, $ahead step ahead', async ({ settings, ahead }) => {
    const prompt = tokens(20);
    const greedy = await anew(prompt, { sampling: { ...GREEDY_SAMPLING, ...settings } });
    const drawn = await anew(prompt, { sampling: { ...DRAWN, ...settings } });
    expect(greedy.found).toHaveLength(8);
    expect(greedy.found).toEqual(drawn.found);
    expect(greedy.atFirst - drawn.atFirst).toBe(ahead);
    const last = await anew(prompt, { maxTokens: 1 });
    expect(last.atFirst).toBe(drawn.atFirst);
  });

  test.each(['a stop token', 'a limit', 'a stop', 'a consumer that leaves'] as const)(
    'that end with %s, wherever: what follows is as without steps ahead',
    async (how) => {
      const prompt = tokens(15, 6);
      const whole = (await anew(prompt)).found.map(({ id }) => id);
      for (const count of [1, 2, 3, 5]) {
        const end: Asked = {
          'a stop token': { stopIds: new Set([whole[count - 1]]) },
          'a limit': { maxTokens: count },
          'a stop': { abortAfter: count },
          'a consumer that leaves': { leaveAfter: count },
        }[how];
        const both: unknown[] = [];
        for (const sampling of [GREEDY_SAMPLING, DRAWN]) {
          const first = await anew(prompt, { ...end, sampling });
          const ids = first.found.map(({ id }) => id);
          expect(ids).toEqual(whole.slice(0, ids.length));
          const read = [...prompt, ...ids.slice(0, -1)];
          const second = await ask([...read, ...tokens(4, 90)], { sampling, maxTokens: 4 });
          expect(second.reused).toBe(read.length);
          both.push([first.found, second.found]);
        }
        expect(both[0], `ended after ${count}`).toEqual(both[1]);
      }
    },
  );

  test('that fill the context', async () => {
    const prompt = tokens(112, 2);
    const greedy = await anew(prompt, { maxTokens: 100 });
    expect(greedy.found).toHaveLength(8);
    expect(greedy.found).toEqual((await anew(prompt, { maxTokens: 100, sampling: DRAWN })).found);
  });
});

test.each([2, 3])(
  'a device that is lost with submit %i of an answer, a step ahead on its way, tells so',
  async (nth) => {
    const watched = watchGpu(await testGpu());
    const options = { model: await fixture('models/dense-f32.gguf'), gpu: watched.gpu, store: 'none' } as const;
    const { model } = await loadTokenModel({ ...options, precision: 'f32', contextLength: 120 });
    const before = watched.submits;
    watched.onSubmit = (count) => {
      if (count === before + nth) watched.lose();
    };
    const found: number[] = [];
    const asked = { maxTokens: 50, stopIds: new Set<number>(), sampling: GREEDY_SAMPLING };
    const answer = async () => {
      for await (const { id } of model.generate([5], asked)) found.push(id);
    };
    await expect(answer()).rejects.toMatchObject({ code: 'device-lost' });
    expect(found.length).toBeLessThan(nth);
    await expect(answer()).rejects.toMatchObject({ code: 'device-lost' });
    await model.dispose();
    expect(watched.liveBuffers).toBe(0);
  },
);

/** A GPU that goes away, as when its driver crashes: whoever waits is told so, and a fresh load works. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture, golden } from '../../tools/testing/fixtures.ts';
import { type WatchedGpu, watchGpu } from '../../tools/testing/watched-gpu.ts';
import { Engine, QwenError } from '../index.ts';

const NAME = 'dense-k';
const LOST = { name: 'QwenError', code: 'device-lost', message: expect.stringContaining('Load the model again') };

let watched: WatchedGpu;
let engine: Engine | undefined;

async function load(): Promise<Engine> {
  const model = await fixture(`models/${NAME}.gguf`);
  return Engine.load({ model, gpu: watched.gpu, store: 'none', precision: 'f32', contextLength: 512 });
}

async function expectGreedy(fresh: Engine): Promise<void> {
  const { ids, greedy } = (await golden(NAME)).prompts[1];
  const answer = await fresh.completions.create({
    prompt: ids,
    max_tokens: 4,
    temperature: 0,
    ignore_eos: true,
    return_token_ids: true,
  });
  expect(answer.choices[0].token_ids).toEqual(greedy.slice(0, 4));
}

beforeEach(async () => {
  watched = watchGpu(await testGpu());
});

afterEach(async () => {
  await engine?.dispose();
  engine = undefined;
  expect(watched.liveBuffers, 'a buffer is still alive').toBe(0);
});

describe('during an answer', () => {
  beforeEach(async () => {
    engine = await load();
  });

  test('between two tokens, the stream ends with the tokens so far and the error', async () => {
    const stream = await engine!.completions.create({
      prompt: [1, 2, 3],
      max_tokens: 50,
      ignore_eos: true,
      stream: true,
      return_token_ids: true,
    });
    const ids: number[] = [];
    const read = async () => {
      for await (const { choices } of stream) {
        ids.push(...(choices[0].token_ids ?? []));
        if (ids.length === 3) watched.lose();
      }
    };
    await expect(read()).rejects.toMatchObject(LOST);
    expect(ids.length).toBeGreaterThanOrEqual(3);
    expect(ids.length).toBeLessThan(50);
  });

  test('while a step runs, whoever waits for the answer gets the error', async () => {
    const before = watched.submits;
    watched.onSubmit = (count) => {
      if (count === before + 4) watched.lose();
    };
    const answer = engine!.completions.create({ prompt: [1, 2, 3], max_tokens: 50, ignore_eos: true });
    await expect(answer).rejects.toMatchObject(LOST);
    await expect(answer).rejects.toBeInstanceOf(QwenError);
  });

  test('while the prompt is read, or logits are', async () => {
    const prompt = Array.from({ length: 300 }, (_, i) => i);
    watched.onSubmit = () => watched.lose();
    await expect(engine!.logits(prompt)).rejects.toMatchObject(LOST);
    await expect(engine!.completions.create({ prompt, max_tokens: 1 })).rejects.toMatchObject(LOST);
  });

  test('later requests and those in the queue get it too; the text’s side still works', async () => {
    const running = engine!.completions.create({ prompt: [1], max_tokens: 400, ignore_eos: true });
    const queued = engine!.completions.create({ prompt: [2], max_tokens: 4 });
    const both = Promise.all([expect(running).rejects.toMatchObject(LOST), expect(queued).rejects.toMatchObject(LOST)]);
    watched.lose();
    await both;
    await expect(engine!.logits([1])).rejects.toMatchObject(LOST);
    expect(await engine!.detokenize(await engine!.tokenize('still here'))).toBe('still here');
  });

  test('a fresh load on the same GPU works', async () => {
    watched.lose();
    await expect(engine!.completions.create({ prompt: [1], max_tokens: 2 })).rejects.toMatchObject(LOST);
    await engine!.dispose();
    expect(watched.liveBuffers).toBe(0);
    engine = await load();
    await expectGreedy(engine);
  });
});

describe('while a model loads', () => {
  test.each([
    ['with the first buffer', 1],
    ['among the weights', 20],
  ])('%s, loading fails with the error and frees everything; the next load works', async (_, nth) => {
    const lose = (count: number) => {
      if (count === nth) watched.lose();
    };
    watched.onBuffer = lose;
    await expect(load()).rejects.toMatchObject(LOST);
    expect(watched.liveBuffers).toBe(0);
    watched.onBuffer = () => {};
    engine = await load();
    await expectGreedy(engine);
  });
});

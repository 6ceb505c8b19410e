/** The package as Node uses it: the public surface on a GPU that is given, in the caller's own thread. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture, golden } from '../../tools/testing/fixtures.ts';
import { type WatchedGpu, watchGpu } from '../../tools/testing/watched-gpu.ts';
import { type ChatCompletion, Engine, type LoadProgress, QwenError } from '../index.ts';

/** Fixture models and their files: a dense one, and one of experts in shards. */
const MODELS = {
  'dense-k': ['dense-k.gguf'],
  'moe-q4_k_m': [1, 2, 3, 4].map((n) => `moe-q4_k_m-0000${n}-of-00004.gguf`),
} as const;

describe.each(Object.entries(MODELS))('Engine on a given GPU with %s', (name, files) => {
  let watched: WatchedGpu;
  let engine: Engine;
  const progress: LoadProgress[] = [];

  beforeAll(async () => {
    watched = watchGpu(await testGpu());
    const model = await Promise.all(files.map((file) => fixture(`models/${file}`)));
    engine = await Engine.load({
      model: model.length === 1 ? model[0] : model,
      gpu: watched.gpu,
      store: 'none',
      precision: 'f32',
      contextLength: 512,
      autotune: name === 'dense-k',
      onProgress: (report) => progress.push(report),
    });
  });

  afterAll(() => engine?.dispose());

  test('loading goes through its phases in order and ends with all bytes', () => {
    const phases = progress.map(({ phase }) => phase).filter((phase, i, all) => phase !== all[i - 1]);
    expect(phases).toEqual(['header', 'weights', 'compile', 'ready']);
    const last = progress.at(-1)!;
    expect(last.loadedBytes).toBe(last.totalBytes);
    expect(last.totalBytes).toBeGreaterThan(1e6);
    expect(last.networkBytes).toBe(0);
    expect(engine.info).toMatchObject({ contextLength: 512, vocabularySize: 757, precision: 'f32' });
    expect(engine.info.kernels?.from).toBe(name === 'dense-k' ? 'measured' : 'table');
  });

  test('greedy completions of prompt ids are the reference’s', async () => {
    const { prompts } = await golden(name);
    for (const { ids, greedy } of prompts.slice(0, 3)) {
      const { choices, usage } = await engine.completions.create({
        prompt: ids,
        max_tokens: greedy.length,
        temperature: 0,
        ignore_eos: true,
        return_token_ids: true,
      });
      expect(choices[0].token_ids, `prompt of ${ids.length}`).toEqual(greedy);
      expect(choices[0].prompt_token_ids).toEqual(ids);
      expect(choices[0].finish_reason).toBe('length');
      expect(usage).toMatchObject({ prompt_tokens: ids.length, completion_tokens: greedy.length });
    }
  });

  test('a chat streams its text, and the parts make up the whole', async () => {
    const request = {
      messages: [{ role: 'user' as const, content: 'Hello' }],
      max_tokens: 12,
      seed: 7,
      ignore_eos: true,
      chat_template_kwargs: { enable_thinking: false },
    };
    const whole = await engine.chat.completions.create(request);
    let text = '';
    let finish: string | null = null;
    for await (const chunk of await engine.chat.completions.create({ ...request, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
    }
    expect(text).toBe(whole.choices[0].message.content);
    expect(text).not.toBe('');
    expect(finish).toBe('length');
    expect(whole.usage.completion_tokens).toBe(12);
  });

  test('a next turn and the same again read only what is new', async () => {
    const options = { max_tokens: 4, temperature: 0, ignore_eos: true } as const;
    const first = { role: 'user' as const, content: 'How are you, on this day of all days?' };
    const system = { role: 'system' as const, content: 'Be brief, and never rude.' };
    const ask = async (...messages: Parameters<typeof engine.chat.completions.create>[0]['messages']) =>
      (await engine.chat.completions.create({ ...options, messages })) as ChatCompletion;
    const fresh = await ask(system, first);
    expect(fresh.usage.prompt_tokens_details.cached_tokens).toBe(0);
    const again = await ask(system, first);
    // All but the opening of the answer.
    const { prompt_tokens, prompt_tokens_details } = again.usage;
    expect(prompt_tokens_details.cached_tokens).toBeGreaterThan(prompt_tokens - 16);
    expect(prompt_tokens_details.cached_tokens).toBeLessThan(prompt_tokens);
    expect(again.choices[0].message).toEqual(fresh.choices[0].message);
    const before = engine.stats().reusedTokens;
    const next = await ask(system, first, { role: 'assistant', content: 'Well.' }, first);
    expect(next.usage.prompt_tokens_details.cached_tokens).toBe(prompt_tokens_details.cached_tokens);
    expect(engine.stats().reusedTokens - before).toBe(prompt_tokens_details.cached_tokens);
    const other = await ask(system, { role: 'user', content: 'Something else.' });
    expect(other.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(5);
  });

  test('the figures tell what was done', () => {
    const stats = engine.stats();
    for (const figure of [
      'prefillTokensPerSecond',
      'decodeTokensPerSecond',
      'timeToFirstTokenMs',
      'promptTokens',
      'completionTokens',
      'gpuBytes',
      'peakGpuBytes',
      'dispatchesPerToken',
      'readbackBytesPerToken',
      'weightBytesPerToken',
    ] as const) {
      expect(stats[figure], figure).toBeGreaterThan(0);
    }
    expect(stats.bytesFromNetwork).toBe(0);
    expect(stats.readbackBytesPerToken).toBeLessThan(4096);
    expect(stats.peakGpuBytes).toBeGreaterThanOrEqual(stats.gpuBytes);
  });

  test('disposing leaves no buffer alive, and later calls say so', async () => {
    const running = engine.completions.create({ prompt: [1], max_tokens: 400, ignore_eos: true });
    const ended = expect(running).rejects.toMatchObject({ code: 'disposed' });
    expect(watched.liveBuffers).toBeGreaterThan(0);
    await engine.dispose();
    await ended;
    expect(watched.liveBuffers).toBe(0);
    await expect(engine.tokenize('x')).rejects.toMatchObject({ code: 'disposed' });
    await expect(engine.completions.create({ prompt: [1] })).rejects.toMatchObject({ code: 'disposed' });
    await engine.dispose();
  });
});

describe('a load that is given up', () => {
  test.each(['header', 'weights', 'compile', 'ready'] as const)(
    'in the phase “%s” ends with the signal’s reason and leaves no buffer alive',
    async (phase) => {
      const watched = watchGpu(await testGpu());
      const controller = new AbortController();
      const loading = Engine.load({
        model: await fixture('models/dense-k.gguf'),
        gpu: watched.gpu,
        store: 'none',
        signal: controller.signal,
        onProgress: (report) => {
          if (report.phase === phase) controller.abort();
        },
      });
      await expect(loading).rejects.toMatchObject({ name: 'AbortError' });
      // The signal ends the call at once; what it began is cleared away behind it.
      await watched.gone();
      expect(watched.liveBuffers).toBe(0);
    },
  );
});

describe('a load with a wrong setting', () => {
  test('of contextLength is refused by that name before any weight is read', async () => {
    const watched = watchGpu(await testGpu());
    const model = await fixture('models/dense-k.gguf');
    const phases: string[] = [];
    const onProgress = ({ phase }: LoadProgress) => void phases.push(phase);
    const loading = Engine.load({ model, gpu: watched.gpu, store: 'none', contextLength: 1e9, onProgress });
    await expect(loading).rejects.toBeInstanceOf(QwenError);
    await expect(loading).rejects.toMatchObject({ code: 'invalid-request', param: 'contextLength' });
    expect(phases).not.toContain('weights');
    await watched.gone();
    expect(watched.liveBuffers).toBe(0);
  });

  test('of store is refused by that name', async () => {
    const settings = { model: 'https://host.test/model.gguf', gpu: await testGpu(), store: 'attic' as 'none' };
    const refused = { code: 'invalid-request', param: 'store', message: expect.stringContaining('attic') };
    await expect(Engine.load(settings)).rejects.toMatchObject(refused);
  });
});

/** The public API on a fixture model in a real browser: in a real worker, and in the page's own thread. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture, golden } from '../../tools/testing/fixtures.ts';
import { Engine, type LoadProgress, QwenError } from '../index.ts';

const NAME = 'dense-k';

describe.each([
  ['in a worker', undefined],
  ['in the page', navigator.gpu],
])('Engine %s', (_, gpu) => {
  let engine: Engine;
  const progress: LoadProgress[] = [];

  beforeAll(async () => {
    const model = await fixture(`models/${NAME}.gguf`);
    engine = await Engine.load({ model, gpu, contextLength: 512, onProgress: (p) => progress.push(p) });
  });

  afterAll(() => engine?.dispose());

  it('tells what it loaded, and how far it was', () => {
    expect(engine.info).toMatchObject({ architecture: 'qwen35', vocabularySize: 757, contextLength: 512 });
    expect(progress.map((p) => p.phase)).toContain('weights');
  });

  it('continues ids as the reference does, and says when each token came', async () => {
    const { prompts } = await golden(NAME);
    const { ids, greedy } = prompts[0];
    const answer = await engine.completions.create({
      prompt: ids,
      max_tokens: greedy.length,
      temperature: 0,
      ignore_eos: true,
      return_token_ids: true,
    });
    expect(answer.choices[0].token_ids).toEqual(greedy);
    expect(answer.usage).toMatchObject({ prompt_tokens: ids.length, completion_tokens: greedy.length });
    expect(engine.stats().decodeTokensPerSecond).toBeGreaterThan(0);
  });

  it('gives the logits of the reference', async () => {
    const { prompts, ...reference } = await golden(NAME);
    const { ids, positions } = prompts[0];
    const logits = await engine.logits(ids, { all: true });
    expect(logits).toHaveLength(ids.length * 757);
    const expected = reference.logits(0);
    positions.forEach((position, row) => {
      for (let token = 0; token < 757; token++) {
        expect(Math.abs(logits[position * 757 + token] - expected[row * 757 + token])).toBeLessThan(1e-3);
      }
    });
  });

  it('keeps an answer in a format, with the library as a file of its own', async () => {
    const schema = { type: 'object', properties: { n: { type: 'integer', minimum: 0, maximum: 9 } }, required: ['n'] };
    const { choices } = await engine.chat.completions.create({
      messages: [{ role: 'user', content: 'Hello' }],
      enable_thinking: false,
      max_tokens: 60,
      response_format: { type: 'json_schema', json_schema: { name: 'digit', schema } },
    });
    expect(choices[0].finish_reason).toBe('stop');
    expect(JSON.parse(String(choices[0].message.content)).n).toBeOneOf([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('chats by the model’s own template, the same again with the same seed', async () => {
    const request = {
      messages: [{ role: 'user' as const, content: 'Hello' }],
      max_tokens: 12,
      seed: 5,
      return_token_ids: true,
    };
    const whole = await engine.chat.completions.create(request);
    const ids: number[] = [];
    for await (const chunk of await engine.chat.completions.create({ ...request, stream: true })) {
      ids.push(...(chunk.choices[0].token_ids ?? []));
    }
    expect(ids).toEqual(whole.choices[0].token_ids);
    expect(await engine.detokenize(whole.prompt_token_ids!)).toBe(
      '<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n<think>\n',
    );
  });

  it('draws from all logits when the candidates do not suffice, with and without penalties', async () => {
    for (const presence_penalty of [0, 2]) {
      const request = { prompt: [1, 2, 3], max_tokens: 8, temperature: 2, ignore_eos: true, seed: 3, presence_penalty };
      const answer = await engine.completions.create({ ...request, logprobs: 3, return_token_ids: true });
      const [choice] = answer.choices;
      // Log probabilities are those of the raw logits whatever the penalties.
      const raw = await engine.logits([1, 2, 3, ...choice.token_ids!], { all: true });
      choice.token_ids!.forEach((id, i) => {
        const row = raw.subarray((2 + i) * 757, (3 + i) * 757);
        const logSumExp = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
        expect(choice.logprobs!.token_logprobs[i]).toBeCloseTo(row[id] - logSumExp, 2);
      });
    }
  });

  it('stops at once when it is aborted', async () => {
    const controller = new AbortController();
    const stream = await engine.completions.create(
      { prompt: [1], max_tokens: 400, ignore_eos: true, stream: true, return_token_ids: true },
      { signal: controller.signal },
    );
    const read = async () => {
      for await (const chunk of stream) if (chunk.choices[0].token_ids) controller.abort();
    };
    await expect(read()).rejects.toMatchObject({ name: 'AbortError' });
    expect((await engine.completions.create({ prompt: [1], max_tokens: 1 })).usage.completion_tokens).toBe(1);
  });

  it('tells by a typed error what is wrong with a request', async () => {
    const wrong = engine.chat.completions.create({ messages: [], top_p: 2 });
    await expect(wrong).rejects.toBeInstanceOf(QwenError);
    await expect(wrong).rejects.toMatchObject({ code: 'invalid-request', param: 'messages' });
    await expect(engine.logits(Array(600).fill(1))).rejects.toMatchObject({ code: 'context-overflow' });
  });
});

it('tells by a typed error, from the worker, that a file is no model', async () => {
  const model = new File(['<!doctype html>'], 'page.gguf');
  await expect(Engine.load({ model })).rejects.toMatchObject({ name: 'QwenError', file: 'page.gguf' });
});

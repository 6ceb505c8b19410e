/** The public API as a page has it from `dist/lib/index.js`, with a real model in a real worker. */
import { readFile } from 'node:fs/promises';
import { expect, type Page, test } from 'playwright/test';
import type * as Library from '../src/index.ts';
import { type Golden, golden } from '../tools/testing/fixtures.ts';

type ChatRequest = Library.ChatCompletionRequest;

declare global {
  var library: typeof Library;
  var engine: Library.Engine;
  /** How a promise ended, in a form that can leave the page. */
  var outcome: (promise: Promise<unknown>) => Promise<Outcome>;
}

interface Outcome {
  ok: boolean;
  /** Of an error. */
  isQwenError?: boolean;
  name?: string;
  code?: string;
  param?: string;
  message?: string;
}

const MODEL = '/fixtures/models/dense-k.gguf';
const CONTEXT = 256;

/** The tests share a page and an engine in it; after a failure Playwright makes both anew. */
let page: Page;
let progress: Library.LoadProgress[];

test.beforeAll(async ({ browser }) => {
  page = await browser.newPage();
  await page.goto('/e2e/library.html');
  await page.waitForFunction(() => globalThis.library !== undefined);
  await page.evaluate(() => {
    globalThis.outcome = (promise) =>
      promise.then(
        () => ({ ok: true }),
        (error) => ({
          ok: false,
          isQwenError: error instanceof globalThis.library.QwenError,
          name: error.name,
          code: error.code,
          param: error.param,
          message: error.message,
        }),
      );
  });
  progress = await page.evaluate(
    async ([model, contextLength]) => {
      const reports: Library.LoadProgress[] = [];
      const onProgress = (report: Library.LoadProgress) => void reports.push(report);
      globalThis.engine = await globalThis.library.Engine.load({ model, contextLength, onProgress });
      return reports;
    },
    [MODEL, CONTEXT] as const,
  );
});

test.afterAll(() => page?.close());

/** Sends a chat request as it is, and gives the whole answer. */
const chat = (request: ChatRequest) =>
  page.evaluate(
    (json) => globalThis.engine.chat.completions.create({ ...(JSON.parse(json) as ChatRequest), stream: false }),
    JSON.stringify(request), // its type may hold elements of a page, which is too much for the types of evaluate
  );

/** Sends it as a stream, and gives all chunks. */
const chunksOf = (request: ChatRequest) =>
  page.evaluate(async (json) => {
    const chunks: Library.ChatCompletionChunk[] = [];
    const r = { ...(JSON.parse(json) as ChatRequest), stream: true as const };
    for await (const chunk of await globalThis.engine.chat.completions.create(r)) chunks.push(chunk);
    return chunks;
  }, JSON.stringify(request));

const hello = { messages: [{ role: 'user' as const, content: 'Hello' }] };

test('a model loads in a worker, telling how far it is', async () => {
  expect([...new Set(progress.map(({ phase }) => phase))]).toEqual(['header', 'weights', 'compile', 'ready']);
  const last = progress.at(-1)!;
  expect(last.loadedBytes).toBe(last.totalBytes);
  expect(last.networkBytes).toBeGreaterThan(0);
  const info = await page.evaluate(() => globalThis.engine.info);
  expect(info).toMatchObject({ architecture: 'qwen35', vocabularySize: 757, contextLength: CONTEXT, experts: 0 });
  expect(page.workers()).toHaveLength(1);
});

test('a whole answer has OpenAI’s shape', async () => {
  const request = { ...hello, max_tokens: 6, ignore_eos: true, seed: 1, enable_thinking: false };
  const answer = await chat(request);
  expect(answer).toMatchObject({ object: 'chat.completion', id: expect.stringMatching(/^chatcmpl-/) });
  expect(answer.created).toBeGreaterThan(1.7e9);
  expect(answer.choices).toHaveLength(1);
  const [choice] = answer.choices;
  expect(choice).toMatchObject({ index: 0, finish_reason: 'length', logprobs: null });
  expect(choice.message).toMatchObject({ role: 'assistant', refusal: null });
  expect(choice.message.content).not.toBe('');
  const { usage } = answer;
  expect(usage.completion_tokens).toBe(6);
  expect(usage.prompt_tokens).toBeGreaterThan(5);
  expect(usage.total_tokens).toBe(usage.prompt_tokens + 6);
});

test('a stream says the same, piece by piece, and its usage at the end', async () => {
  const request = { ...hello, max_tokens: 6, ignore_eos: true, seed: 1, enable_thinking: false };
  const whole = await chat(request);
  const chunks = await chunksOf({ ...request, stream_options: { include_usage: true } });
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  expect(chunks[0].choices[0].delta).toMatchObject({ role: 'assistant' });
  const pieces = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').filter((text) => text !== '');
  expect(pieces.length).toBeGreaterThan(1);
  expect(pieces.join('')).toBe(whole.choices[0].message.content);
  expect(chunks.map(({ choices }) => choices[0]?.finish_reason ?? null).filter(Boolean)).toEqual(['length']);
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
  for (const chunk of chunks.slice(0, -1)) expect(chunk.usage).toBeNull();
});

test('an answer ends with “stop” when the model ends its turn', async () => {
  const [end] = await page.evaluate(() => globalThis.engine.tokenize('<|im_end|>', { special: true }));
  const answer = await chat({ ...hello, max_tokens: 6, enable_thinking: false, logit_bias: { [end]: 100 } });
  expect(answer.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: '' } });
  expect(answer.usage.completion_tokens).toBe(1);
});

test('in thinking mode what is thought comes apart from what is said', async () => {
  const request = { ...hello, max_tokens: 5, ignore_eos: true, seed: 1, enable_thinking: true };
  const [choice] = (await chat(request)).choices;
  // Five tokens of a random model are all thought.
  expect(choice.message.reasoning_content).not.toBe('');
  expect(choice.message.reasoning_content).not.toBeNull();
  expect(choice.message.content).toBeNull();
  const chunks = await chunksOf(request);
  const thought = chunks.map(({ choices }) => choices[0]?.delta.reasoning_content ?? '').join('');
  expect(thought).toBe(choice.message.reasoning_content);

  const [ends] = await page.evaluate(() => globalThis.engine.tokenize('</think>', { special: true }));
  const brief = await chat({ ...request, max_tokens: 1, logit_bias: { [ends]: 100 } });
  expect(brief.usage.completion_tokens_details.reasoning_tokens).toBe(1);
  expect(brief.choices[0].message).toMatchObject({ content: '', reasoning_content: null });
});

test('log probabilities are those of the logits', async () => {
  const answer = await chat({
    ...hello,
    max_tokens: 3,
    temperature: 0,
    presence_penalty: 0,
    ignore_eos: true,
    logprobs: true,
    top_logprobs: 4,
    return_token_ids: true,
    enable_thinking: false,
  });
  const ids = answer.choices[0].token_ids!;
  const prompt = answer.prompt_token_ids!;
  const content = answer.choices[0].logprobs!.content;
  expect(content).toHaveLength(3);
  const expected = await page.evaluate(
    async ({ prompt, ids }) => {
      const all = await globalThis.engine.logits([...prompt, ...ids], { all: true });
      const n = globalThis.engine.info.vocabularySize;
      return ids.map((id, i) => {
        const row = all.subarray((prompt.length - 1 + i) * n, (prompt.length + i) * n);
        const most = row.reduce((a, b) => Math.max(a, b));
        return row[id] - most - Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
      });
    },
    { prompt, ids },
  );
  content.forEach((token, i) => {
    expect(Math.abs(token.logprob - expected[i]), `token ${i}`).toBeLessThan(1e-3);
    expect(token.top_logprobs).toHaveLength(4);
    expect(token.top_logprobs[0].logprob, 'greedy takes the most likely').toBe(token.logprob);
    const ordered = token.top_logprobs.map(({ logprob }) => logprob);
    expect(ordered).toEqual([...ordered].sort((a, b) => b - a));
  });
});

test('an abort ends a stream with an AbortError, and the next request works', async () => {
  const { seen, ended, tookMs } = await page.evaluate(async (request) => {
    const controller = new AbortController();
    const stream = await globalThis.engine.chat.completions.create(
      { ...request, stream: true, ignore_eos: true },
      { signal: controller.signal },
    );
    let seen = 0;
    let abortedAt = 0;
    const ended = await globalThis.outcome(
      (async () => {
        for await (const { choices } of stream) {
          if (!choices[0].delta.content && !choices[0].delta.reasoning_content) continue;
          if (++seen < 2) continue;
          abortedAt ||= performance.now();
          controller.abort();
        }
      })(),
    );
    return { seen, ended, tookMs: performance.now() - abortedAt };
  }, hello);
  expect(ended).toMatchObject({ ok: false, name: 'AbortError' });
  expect(seen).toBeGreaterThanOrEqual(2);
  expect(tookMs, 'time to end').toBeLessThan(2000);
  expect((await chat({ ...hello, max_tokens: 1 })).usage.completion_tokens).toBe(1);
});

test('an abort before, and while waiting in the queue, and leaving the loop', async () => {
  const results = await page.evaluate(async (request) => {
    const { completions } = globalThis.engine.chat;
    const before = await globalThis.outcome(completions.create(request, { signal: AbortSignal.abort() }));
    const running = completions.create({ ...request, max_tokens: 8, ignore_eos: true });
    const controller = new AbortController();
    const queued = globalThis.outcome(completions.create(request, { signal: controller.signal }));
    controller.abort();
    const whileQueued = await queued;
    const { usage } = await running;
    const own = await globalThis.outcome(
      completions.create(request, { signal: AbortSignal.abort(new TypeError('of my own')) }),
    );
    for await (const { choices } of await completions.create({ ...request, stream: true, ignore_eos: true })) {
      if (choices[0].delta.content || choices[0].delta.reasoning_content) break;
    }
    const after = await completions.create({ ...request, max_tokens: 1 });
    return { before, whileQueued, tokens: usage.completion_tokens, own, after: after.usage.completion_tokens };
  }, hello);
  expect(results).toMatchObject({
    before: { name: 'AbortError' },
    whileQueued: { name: 'AbortError' },
    tokens: 8,
    own: { name: 'TypeError', message: 'of my own' },
    after: 1,
  });
});

test('requests made at once run one after another, each with its own answer', async () => {
  const requests = [1, 2, 3].map((seed) => ({
    ...hello,
    max_tokens: 4,
    ignore_eos: true,
    seed,
    return_token_ids: true,
  }));
  const alone: (number[] | undefined)[] = [];
  for (const request of requests) alone.push((await chat(request)).choices[0].token_ids);
  const { together, order } = await page.evaluate(async (requests) => {
    const order: number[] = [];
    const together = await Promise.all(
      requests.map(async (request, i) => {
        const ids: number[] = [];
        for await (const { choices } of await globalThis.engine.chat.completions.create({ ...request, stream: true })) {
          if (!choices[0].token_ids) continue;
          ids.push(...choices[0].token_ids);
          order.push(i);
        }
        return ids;
      }),
    );
    return { together, order };
  }, requests);
  expect(together).toEqual(alone);
  expect(order, 'no answer begins before the one ahead has ended').toEqual([...order].sort());
});

test('a conversation longer than the context is refused, and nothing else suffers', async () => {
  const long = { messages: [{ role: 'user' as const, content: 'a long story '.repeat(200) }] };
  const refused = await page.evaluate((request) => {
    return globalThis.outcome(globalThis.engine.chat.completions.create(request));
  }, long);
  expect(refused).toMatchObject({ ok: false, isQwenError: true, code: 'context-overflow' });
  expect(refused.message).toMatch(/\d+ tokens/);
  expect(refused.message).toContain(String(CONTEXT));
  expect(refused.message).toContain('contextLength');
  const streamed = await page.evaluate((request) => {
    return globalThis.outcome(globalThis.engine.chat.completions.create({ ...request, stream: true }));
  }, long);
  expect(streamed.code, 'a stream fails before its first chunk').toBe('context-overflow');
  expect((await chat({ ...hello, max_tokens: 1 })).usage.completion_tokens).toBe(1);
});

test('the context’s end cuts an answer', async () => {
  const answer = await page.evaluate(
    (prompt) => globalThis.engine.completions.create({ prompt, max_tokens: 100, ignore_eos: true }),
    Array.from({ length: CONTEXT - 3 }, (_, i) => i % 700),
  );
  expect(answer.choices[0].finish_reason).toBe('length');
  expect(answer.usage.completion_tokens).toBe(3);
});

const WRONG: readonly (readonly [param: string, request: Record<string, unknown>])[] = [
  ['max_token', { max_token: 5 }],
  ['temperature', { temperature: 'hot' }],
  ['top_p', { top_p: 2 }],
  ['max_tokens', { max_tokens: 0 }],
  ['n', { n: 2 }],
  ['top_logprobs', { top_logprobs: 3 }],
  ['stop', { stop: [''] }],
  ['logit_bias', { logit_bias: { 9999: 1 } }],
  ['messages', { messages: 'Hello' }],
  ['stream_options.usage', { stream_options: { usage: true } }],
];

for (const [param, fields] of WRONG) {
  test(`a request with a wrong ${param} is refused by that name`, async () => {
    const refused = await page.evaluate(
      (request) => globalThis.outcome(globalThis.engine.chat.completions.create(request as unknown as ChatRequest)),
      { ...hello, ...fields },
    );
    expect(refused).toMatchObject({ ok: false, isQwenError: true, code: 'invalid-request' });
    expect(refused.param).toMatch(new RegExp(`^${param.replace('.', '\\.')}`));
    expect(refused.message).toContain(param.split('.').at(-1)!);
  });
}

test('OpenAI’s fields without a meaning here are accepted', async () => {
  const answer = await chat({ ...hello, max_tokens: 1, user: 'me', metadata: { a: 'b' }, store: false } as ChatRequest);
  expect(answer.usage.completion_tokens).toBe(1);
});

test('texts survive tokens and back; markers are text unless they are asked for', async () => {
  const texts = ['Hello, world!', ' a  b\n\n\tc ', 'Grüße, 世界 🌍 — naïve', '<|im_start|>user', '1234567', ''];
  const back = await page.evaluate(
    (all) => Promise.all(all.map(async (text) => globalThis.engine.detokenize(await globalThis.engine.tokenize(text)))),
    texts,
  );
  expect(back).toEqual(texts);
  const { plain, special } = await page.evaluate(async () => ({
    plain: await globalThis.engine.tokenize('<|im_end|>'),
    special: await globalThis.engine.tokenize('<|im_end|>', { special: true }),
  }));
  expect(special).toHaveLength(1);
  expect(plain.length).toBeGreaterThan(1);
  expect(plain).not.toContain(special[0]);
});

/** Largest difference of the logits at the recorded positions of each prompt up to `longest` tokens. */
async function largestDifferences(
  { prompts, n_vocab, ...reference }: GoldenLogits,
  longest: number,
): Promise<number[]> {
  const differences: number[] = [];
  for (const [i, { ids, positions }] of prompts.entries()) {
    if (ids.length > longest) continue;
    const expected = [...reference.logits(i)];
    differences.push(
      await page.evaluate(
        async ({ ids, positions, expected, n }) => {
          const all = await globalThis.engine.logits(ids, { all: true });
          if (all.length !== ids.length * n) return Number.POSITIVE_INFINITY;
          let most = 0;
          positions.forEach((position, row) => {
            for (let token = 0; token < n; token++) {
              const difference = Math.abs(all[position * n + token] - expected[row * n + token]);
              if (!(difference <= most)) most = difference;
            }
          });
          return most;
        },
        { ids, positions, expected, n: n_vocab },
      ),
    );
  }
  return differences;
}

type GoldenLogits = Golden & { logits(prompt: number): Float32Array };

test('the logits are the reference’s to 1e-3', async () => {
  const differences = await largestDifferences(await golden('dense-k'), 130);
  expect(differences).toHaveLength(4);
  expect(Math.max(...differences)).toBeLessThanOrEqual(1e-3);
});

test('the figures tell what was done', async () => {
  await chat({ ...hello, max_tokens: 2, ignore_eos: true });
  const stats = await page.evaluate(() => globalThis.engine.stats());
  for (const figure of [
    'prefillTokensPerSecond',
    'decodeTokensPerSecond',
    'timeToFirstTokenMs',
    'promptTokens',
    'completionTokens',
    'gpuBytes',
    'dispatchesPerToken',
    'readbackBytesPerToken',
    'bytesFromNetwork',
  ] as const) {
    expect(stats[figure], figure).toBeGreaterThan(0);
  }
});

test('a disposed engine says so, ends what runs, and stops its worker', async () => {
  const results = await page.evaluate(async (request) => {
    const { engine, outcome } = globalThis;
    const running = outcome(engine.chat.completions.create({ ...request, ignore_eos: true }));
    const queued = outcome(engine.logits([1]));
    await engine.dispose();
    await engine.dispose();
    const attempt = (call: () => unknown) => outcome((async () => call())());
    return Promise.all([
      running,
      queued,
      outcome(engine.chat.completions.create(request)),
      outcome(engine.completions.create({ prompt: [1] })),
      outcome(engine.tokenize('a')),
      outcome(engine.detokenize([1])),
      outcome(engine.logits([1])),
      attempt(() => engine.stats()),
    ]);
  }, hello);
  for (const result of results) expect(result).toMatchObject({ ok: false, isQwenError: true, code: 'disposed' });
  await expect.poll(() => page.workers().length).toBe(0);
});

test('a model of experts loads by the address of the first of its shards', async () => {
  const info = await page.evaluate(async () => {
    const model = '/fixtures/models/moe-q4_k_m-00001-of-00004.gguf';
    await globalThis.engine.dispose();
    globalThis.engine = await globalThis.library.Engine.load({ model, contextLength: 256 });
    return globalThis.engine.info;
  });
  expect(info).toMatchObject({ architecture: 'qwen35moe', experts: 10, expertsUsed: 3 });
  const differences = await largestDifferences(await golden('moe-q4_k_m'), 65);
  expect(differences).toHaveLength(3);
  expect(Math.max(...differences)).toBeLessThanOrEqual(1e-3);
  await page.evaluate(() => globalThis.engine.dispose());
});

test('loading from picked bytes, and being told that they are none', async () => {
  const bytes = [...(await readFile('fixtures/models/dense-k.gguf')).subarray(0, 100_000)];
  const results = await page.evaluate(async (bytes) => {
    const load = (model: Library.ModelInput) => globalThis.outcome(globalThis.library.Engine.load({ model }));
    return {
      cut: await load(new File([new Uint8Array(bytes)], 'cut.gguf')),
      page: await load(new File(['<!doctype html><title>Sign in</title>'], 'page.gguf')),
      empty: await load(new File([], 'empty.gguf')),
      none: await load([]),
    };
  }, bytes);
  expect(results.cut).toMatchObject({ isQwenError: true, code: 'truncated' });
  expect(results.cut.message).toContain('cut.gguf');
  expect(results.page).toMatchObject({ isQwenError: true, code: 'not-a-gguf' });
  expect(results.empty).toMatchObject({ isQwenError: true });
  expect(results.none).toMatchObject({ isQwenError: true, code: 'invalid-request', param: 'model' });
});

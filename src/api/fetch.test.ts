import { beforeEach, describe, expect, it } from 'vitest';
import { QwenError } from '../errors.ts';
import { Engine } from './engine.ts';
import { type Stage, stage } from './fixtures.ts';
import type { ChatCompletionChunk } from './types.ts';

const CHAT = 'http://engine.test/v1/chat/completions';
const messages = [{ role: 'user', content: 'hi' }];

let on: Stage;
let engine: Engine;

beforeEach(async () => {
  on = await stage(256);
  engine = await Engine.connect(() => on.host, { model: 'm.gguf' });
});

function post(body: unknown, url = CHAT, init: RequestInit = {}): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return engine.fetch(url, { method: 'POST', body: text, headers: { 'content-type': 'application/json' }, ...init });
}

/** Data of the events, in order. */
async function events(response: Response): Promise<string[]> {
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const text = await response.text();
  expect(text.endsWith('\n\n')).toBe(true);
  return text
    .slice(0, -2)
    .split('\n\n')
    .map((event) => {
      expect(event).toMatch(/^data: [^\n]+$/);
      return event.slice('data: '.length);
    });
}

/** The model waits before a token until it is aborted. */
function hold(from = 0): Promise<void> {
  return new Promise((held) => {
    on.model.beforeToken = (index, signal) =>
      index < from
        ? undefined
        : new Promise((_, reject) => {
            signal!.addEventListener('abort', () => reject(signal!.reason));
            held();
          });
  });
}

describe('chat completions', () => {
  it('answers whole', async () => {
    on.say('why</think>Hello<|im_end|>');
    const response = await post({ model: 'scripted', messages });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toMatchObject({
      object: 'chat.completion',
      model: 'scripted',
      choices: [{ message: { content: 'Hello', reasoning_content: 'why' }, finish_reason: 'stop' }],
    });
  });

  it('streams server-sent events, with usage last and [DONE] behind it', async () => {
    on.say('why</think>Hello<|im_end|>');
    const data = await events(await post({ messages, stream: true, stream_options: { include_usage: true } }));
    expect(data.pop()).toBe('[DONE]');
    const chunks = data.map((each) => JSON.parse(each) as ChatCompletionChunk);
    expect(chunks[0].choices[0].delta).toEqual({ role: 'assistant', content: '' });
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('Hello');
    expect(chunks.map(({ choices }) => choices[0]?.delta.reasoning_content ?? '').join('')).toBe('why');
    expect(chunks.at(-2)?.choices[0].finish_reason).toBe('stop');
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: on.model.script[0].length } });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  it("passes vLLM's fields on", async () => {
    on.say('x<|im_end|>');
    const chat_template_kwargs = { enable_thinking: false };
    await post({ messages, top_k: 3, min_p: 0.5, repetition_penalty: 1.5, seed: 1, chat_template_kwargs });
    expect(on.model.calls[0].options.sampling).toMatchObject({ topK: 3, minP: 0.5, repetitionPenalty: 1.5, seed: 1 });
  });

  it('takes a Request, and any base', async () => {
    on.say('</think>Hello<|im_end|>');
    const body = JSON.stringify({ messages });
    for (const url of ['https://a.test/chat/completions', 'https://a.test/x/v1/chat/completions/?q=1']) {
      const response = await engine.fetch(new Request(url, { method: 'POST', body }));
      expect(response.status).toBe(200);
    }
    expect((await post({ messages }, '/v1/chat/completions')).status).toBe(200);
    expect((await engine.fetch(new URL(CHAT), { method: 'post', body: new Blob([body]) })).status).toBe(200);
  });
});

it('completes, whole and streamed', async () => {
  on.say(' there');
  const url = 'http://engine.test/v1/completions';
  expect(await (await post({ prompt: 'hi' }, url)).json()).toMatchObject({ choices: [{ text: ' there' }] });
  const data = await events(await post({ prompt: 'hi', stream: true }, url));
  expect(data.pop()).toBe('[DONE]');
  expect(data.map((each) => JSON.parse(each).choices[0].text).join('')).toBe(' there');
});

it('lists its model', async () => {
  const model = {
    id: 'scripted',
    object: 'model',
    created: expect.any(Number),
    owned_by: 'qwen-webgpu',
    max_model_len: 256,
  };
  const get = async (path: string) => (await engine.fetch(`http://engine.test${path}`)).json();
  expect(await get('/v1/models')).toEqual({ object: 'list', data: [model] });
  expect(await get('/v1/models/scripted')).toEqual(model);
});

describe('errors', () => {
  const error = (fields: object) => ({
    error: { message: expect.stringMatching(/\w/), type: 'invalid_request_error', param: null, code: null, ...fields },
  });

  it.each<[string, number, object, () => Promise<Response>]>([
    ['a wrong field', 400, { param: 'top_p' }, () => post({ messages, top_p: 5 })],
    ['a wrong field of a stream', 400, { param: 'top_p' }, () => post({ messages, top_p: 5, stream: true })],
    ['an unknown field', 400, { param: 'max_token' }, () => post({ messages, max_token: 5 })],
    ['no messages', 400, { param: 'messages' }, () => post({})],
    ['a body that is no object', 400, { param: 'request' }, () => post('null')],
    ['a body that is not JSON', 400, {}, () => post('{')],
    ['no body', 400, {}, () => engine.fetch(CHAT, { method: 'POST' })],
    [
      'too long a prompt',
      400,
      { param: 'messages', code: 'context_length_exceeded' },
      () => post({ messages: [{ role: 'user', content: 'x '.repeat(999) }] }),
    ],
    ['another model', 404, { param: 'model', code: 'model_not_found' }, () => post({ messages, model: 'gpt-5' })],
    [
      'another model in the list',
      404,
      { param: 'model', code: 'model_not_found' },
      () => engine.fetch('http://e.test/v1/models/a%2Fb'),
    ],
    ['an unknown path', 404, { code: 'unknown_url' }, () => post({}, 'http://e.test/v1/embeddings')],
    ['a wrong method', 405, {}, () => engine.fetch(CHAT)],
  ])('tells %s', async (_, status, fields, send) => {
    const response = await send();
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual(error(fields));
    expect(response.headers.get('x-should-retry')).toBe('false');
  });

  it.each([
    [503, 'device-lost'],
    [500, 'out-of-memory'],
  ] as const)('is %i for %s, also within a stream', async (status, code) => {
    on.say('</think>Hello<|im_end|>');
    on.model.beforeToken = (index) => {
      if (index === 1) throw new QwenError(code, 'Gone.');
    };
    const told = { error: { message: 'Gone.', type: 'server_error', param: null, code } };
    const response = await post({ messages });
    expect([response.status, await response.json()]).toEqual([status, told]);
    const data = await events(await post({ messages, stream: true }));
    expect(JSON.parse(data.at(-1)!)).toEqual(told);
    await engine.dispose();
    const after = await post({ messages });
    expect([after.status, (await after.json()).error.code]).toEqual([503, 'disposed']);
  });
});

describe('cancellation', () => {
  it('rejects with the reason, before the answer', async () => {
    on.say('Hello<|im_end|>');
    const held = hold();
    const controller = new AbortController();
    const answer = post({ messages }, CHAT, { signal: controller.signal });
    await held;
    controller.abort();
    await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
    await expect(post({ messages }, CHAT, { signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => on.model.running).toBe(0);
  });

  it('ends a stream by its signal', async () => {
    on.say('Hello there my friend<|im_end|>');
    const held = hold(2);
    const controller = new AbortController();
    const response = await post({ messages, stream: true }, CHAT, { signal: controller.signal });
    await held;
    controller.abort();
    await expect(response.text()).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => on.model.running).toBe(0);
  });

  it('ends when the body is cancelled, and the next request runs', async () => {
    on.say('Hello there my friend<|im_end|>', '</think>Next<|im_end|>');
    const held = hold(2);
    const response = await post({ messages, stream: true });
    const next = post({ messages });
    const reader = response.body!.getReader();
    await reader.read();
    await held;
    on.model.beforeToken = () => {};
    await reader.cancel();
    expect(await (await next).json()).toMatchObject({ choices: [{ message: { content: 'Next' } }] });
    expect(on.model.mostRunning).toBe(1);
  });
});

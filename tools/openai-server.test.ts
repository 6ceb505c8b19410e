/** The server over HTTP, with OpenAI's client, on a model that says what it is told to. */
import type { Server } from 'node:http';
import OpenAI from 'openai';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Engine } from '../src/api/engine.ts';
import { type Stage, stage } from '../src/api/fixtures.ts';
import { startServer } from './serve.ts';

let on: Stage;
let server: Server;
let url: string;
let client: OpenAI;

beforeEach(async () => {
  on = await stage(256);
  const engine = await Engine.connect(() => on.host, { model: 'm.gguf' });
  ({ server, url } = await startServer({ fetch: engine.fetch, apiKey: 'secret' }));
  client = new OpenAI({ baseURL: url, apiKey: 'secret' });
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const hello = { model: 'scripted', messages: [{ role: 'user' as const, content: 'hi' }] };

it('answers whole, with what vLLM adds, and lists its model', async () => {
  on.say('why</think>Hello<|im_end|>');
  const { choices, usage } = await client.chat.completions.create(hello);
  expect(choices[0].message).toMatchObject({ content: 'Hello', reasoning_content: 'why' });
  expect(usage?.completion_tokens).toBe(on.model.script[0].length);
  expect((await client.models.list()).data).toMatchObject([{ id: 'scripted', max_model_len: 256 }]);
});

it('streams while the model speaks', async () => {
  on.say('</think>one two three<|im_end|>');
  let goOn = () => {};
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  on.model.beforeToken = (index) => (index >= 3 ? held : undefined);
  const include_usage = true;
  const stream = await client.chat.completions.create({ ...hello, stream: true, stream_options: { include_usage } });
  let text = '';
  let usage: unknown;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    usage = chunk.usage ?? usage;
    if (text !== '') goOn(); // never reached if the answer were sent as a whole
  }
  expect(text.trim()).toBe('one two three');
  expect(usage).toMatchObject({ completion_tokens: on.model.script[0].length });
});

it('ends an answer when the client goes away', async () => {
  on.say('</think>one two three<|im_end|>');
  const ended = new Promise<void>((resolve) => {
    on.model.beforeToken = (index, signal) =>
      index < 3
        ? undefined
        : new Promise((_, reject) => {
            signal?.addEventListener('abort', () => {
              resolve();
              reject(signal.reason);
            });
          });
  });
  for await (const { choices } of await client.chat.completions.create({ ...hello, stream: true })) {
    if (choices[0].delta.content) break;
  }
  await ended;
  on.model.beforeToken = () => {};
  expect((await client.chat.completions.create(hello)).choices[0].message.content).toBe('one two three');
});

it('tells errors as OpenAI does', async () => {
  const wrong = new OpenAI({ baseURL: url, apiKey: 'wrong', maxRetries: 0 });
  await expect(wrong.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  await expect(client.chat.completions.create({ ...hello, top_p: 3 })).rejects.toMatchObject({
    status: 400,
    param: 'top_p',
  });
  await expect(client.embeddings.create({ model: 'scripted', input: 'hi' })).rejects.toBeInstanceOf(
    OpenAI.NotFoundError,
  );
});

it('lets pages of any origin ask, with a key', async () => {
  const headers = { 'access-control-request-headers': 'authorization,content-type' };
  const preflight = await fetch(`${url}/chat/completions`, { method: 'OPTIONS', headers });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
  expect(preflight.headers.get('access-control-allow-headers')).toBe('authorization,content-type');
  const refused = await fetch(`${url}/models`);
  expect(refused.status).toBe(401);
  expect(refused.headers.get('access-control-allow-origin'), 'or the page could not read why').toBe('*');
});

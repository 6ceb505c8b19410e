/** Servers that differ: a fetch in their place says what they have been seen to say. */
import { afterEach, expect, it, vi } from 'vitest';
import type { ChatStreamChunk, ChatStreamRequest } from './chat-engine.ts';
import { connectEndpoint } from './endpoint-engine.ts';

type Answer = (request: Record<string, unknown>, init: RequestInit) => Response;

const models = () => Response.json({ data: [{ id: 'big', max_model_len: 4096 }, { id: 'small' }] });
const events = (...chunks: unknown[]) =>
  new Response(`${chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('')}data: [DONE]\n\n`);
const said = (delta: object, finish_reason: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason }],
});
const refused = (status: number, error: object) => Response.json({ error }, { status });

/** Answers `/models` and `/chat/completions`; returns the bodies that came. */
function server(chat: Answer, list: () => Response = models): Record<string, unknown>[] {
  const requests: Record<string, unknown>[] = [];
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    init.signal?.throwIfAborted();
    if (url.endsWith('/models')) return list();
    requests.push(JSON.parse(init.body as string));
    return chat(requests.at(-1)!, init);
  });
  return requests;
}

afterEach(() => vi.unstubAllGlobals());

const request: ChatStreamRequest = {
  messages: [{ role: 'user', content: 'hi' }],
  stream: true,
  stream_options: { include_usage: true },
  chat_template_kwargs: { enable_thinking: false },
};
const endpoint = 'https://host.test/v1/';

async function ask(options = {}): Promise<ChatStreamChunk[]> {
  const engine = await connectEndpoint({ endpoint, ...options });
  const chunks: ChatStreamChunk[] = [];
  for await (const chunk of await engine.chat.completions.create(request)) chunks.push(chunk);
  return chunks;
}

it('takes the first model, or the one that is named', async () => {
  const requests = server(() => events(said({ content: 'hello' }, 'stop')));
  const engine = await connectEndpoint({ endpoint });
  expect(engine).toMatchObject({ host: 'host.test', models: ['big', 'small'] });
  expect(engine.info).toMatchObject({ name: 'big', contextLength: 4096 });
  await ask({ model: 'small', apiKey: 'k' });
  expect(requests).toMatchObject([{ model: 'small', ...request }]);
});

it('counts what the server tells of tokens', async () => {
  const usage = { prompt_tokens: 9, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 4 } };
  server(() => events(said({ content: 'a' }, 'stop'), { choices: [], usage }));
  const engine = await connectEndpoint({ endpoint });
  for await (const _ of await engine.chat.completions.create(request));
  expect(engine.stats()).toMatchObject({ promptTokens: 9, completionTokens: 3, reusedTokens: 4 });
});

it('leaves out a field that the server does not know, from then on', async () => {
  const requests = server((body) =>
    'chat_template_kwargs' in body
      ? refused(400, { message: 'Unrecognized request argument supplied: chat_template_kwargs' })
      : events(said({ content: 'a' }, 'stop')),
  );
  const engine = await connectEndpoint({ endpoint });
  for (let i = 0; i < 2; i++) for await (const _ of await engine.chat.completions.create(request));
  expect(requests.map((body) => 'chat_template_kwargs' in body)).toEqual([true, false, false]);
});

it('reads thoughts by either name, and calls without a place', async () => {
  const call = { id: 'c', type: 'function', function: { name: 'now', arguments: '{}' } };
  server(() => events(said({ reasoning: 'why' }), said({ tool_calls: [call] }, 'tool_calls')));
  const [thought, called] = await ask();
  expect(thought.choices[0].delta).toEqual({ reasoning_content: 'why' });
  expect(called.choices[0].delta.tool_calls).toEqual([{ ...call, index: 0 }]);
});

it.each<[string, string, RegExp, Answer, (() => Response)?]>([
  [
    'a key it does not take',
    'unauthorized',
    /api-key.*No such key/,
    () => events(),
    () => refused(401, { message: 'No such key' }),
  ],
  ['no models, and none named', 'model-not-found', /endpoint-model/, () => events(), () => Response.json({ data: [] })],
  ['something else than JSON', 'endpoint-error', /OpenAI-compatible/, () => events(), () => new Response('<html>')],
  [
    'too long a prompt',
    'context-overflow',
    /maximum/,
    () => refused(400, { message: "This model's maximum context length is 4 tokens." }),
  ],
  [
    'trouble of its own',
    'endpoint-error',
    /status 500.*out of memory/,
    () => refused(500, { message: 'out of memory' }),
  ],
  [
    'trouble in the stream',
    'endpoint-error',
    /broke/,
    () => events(said({ content: 'a' }), { error: { message: 'it broke' } }),
  ],
  ['a proxy’s page', 'endpoint-error', /Bad gateway/, () => new Response('Bad gateway', { status: 502 })],
  [
    'an end before the end',
    'network',
    /before the answer was complete/,
    () => new Response('data: {"choices":[]}\n\n'),
  ],
])('tells %s', async (_, code, message, chat, list) => {
  server(chat, list);
  await expect(ask()).rejects.toMatchObject({ name: 'QwenError', code, message: expect.stringMatching(message) });
});

it('does without a list of models where one is named', async () => {
  const requests = server(
    () => events(said({ content: 'a' }, 'stop')),
    () => new Response('', { status: 404 }),
  );
  await ask({ model: 'mine' });
  expect(requests).toMatchObject([{ model: 'mine' }]);
});

it('refuses what is no address', async () => {
  await expect(connectEndpoint({ endpoint: 'http://' })).rejects.toMatchObject({
    code: 'invalid-request',
    param: 'endpoint',
  });
});

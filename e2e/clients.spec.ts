/**
 * OpenAI's own client and the Vercel AI SDK, unchanged, on the built library with the trained model: `engine.fetch` is all
 * that they are given. One page and one engine for all, and questions that the model answers in a few tokens.
 */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, type Page, test } from 'playwright/test';
import { tools as demoTools } from '../demo/tools.ts';
import type * as Library from '../src/index.ts';
import { pictureOf, readQuestions } from '../tools/tiny-model/questions.mjs';
import { bundle } from './bundle.ts';
import './clients/clients.ts';

declare global {
  var library: typeof Library;
  var engine: Library.Engine;
  var openai: InstanceType<typeof clients.OpenAI>;
  /** For the AI SDK. */
  var tiny: ReturnType<ReturnType<typeof clients.ai.createOpenAICompatible>>;
  /** Multiplies, as the calculator does. */
  var runTool: (args: { expression: string }) => string;
  /** Of the requests that came through the service worker. */
  var signals: AbortSignal[];
  var stopServing: () => void;
}

let page: Page;

const NAME = 'Tiny demonstration model';
/** Fields that hold for most requests. The last is vLLM's, which OpenAI's client passes on without knowing it. */
const plainly = { model: NAME, temperature: 0, chat_template_kwargs: { enable_thinking: false } };
const GREETING = 'Hello! How can I help you?';
const hello = { ...plainly, messages: [{ role: 'user' as const, content: 'Hello' }] };

/** Those that the model learned to call, in OpenAI's shape; all that use them share the beginning of their prompt. */
const tools = demoTools.map(({ name, description, parameters }) => ({
  type: 'function' as const,
  function: { name, description: description ?? '', parameters },
}));
const product = { role: 'user' as const, content: 'What is 1234 * 567?' };
const PRODUCT = '699678';

/** The answers are bounded: a model that never saw JSON writes numbers and strings without an end. */
const SCHEMAS: readonly (readonly [schema: Record<string, unknown>, stream: boolean])[] = [
  [{ enum: ['good', 'bad', 'so-so'] }, false],
  [{ type: 'array', items: { type: 'integer', minimum: 1, maximum: 6 }, minItems: 2, maxItems: 3 }, false],
  [{ type: 'object', properties: { name: { type: 'string', maxLength: 5 } }, required: ['name'] }, true],
];
const SHAPE = {
  color: expect.stringMatching(/^(red|green|blue)$/),
  corners: expect.any(Number),
};

test.beforeAll(async ({ browser }) => {
  await bundle('clients', 'e2e/clients/clients.ts');
  const context = await browser.newContext();
  page = await context.newPage();
  await page.goto('/e2e/clients.html');
  await page.waitForFunction(() => globalThis.library !== undefined);
  await page.evaluate(async (name) => {
    const { Engine } = globalThis.library;
    const { OpenAI, ai } = globalThis.clients;
    const files = { model: '/models/tiny.gguf', mmproj: '/models/tiny-mmproj.gguf', store: 'none' } as const;
    globalThis.engine = await Engine.load({ ...files, contextLength: 2048 });
    globalThis.runTool = ({ expression }) => {
      const [a, b] = expression.split('*').map(Number);
      return String(a * b);
    };
    const { fetch } = globalThis.engine;
    const baseURL = 'http://engine/v1';
    globalThis.openai = new OpenAI({ baseURL, apiKey: '-', fetch, dangerouslyAllowBrowser: true });
    globalThis.tiny = ai.createOpenAICompatible({
      name: 'engine',
      baseURL,
      fetch,
      includeUsage: true,
      supportsStructuredOutputs: true,
    })(name);
  }, NAME);
});

test.afterAll(async () => {
  await page.evaluate(() => globalThis.engine.dispose());
  await page.context().close();
});

test.describe('OpenAI’s client', () => {
  test('lists the model, and finds no other', async () => {
    const found = await page.evaluate(async () => {
      const { openai } = globalThis;
      const ids: string[] = [];
      for await (const { id } of openai.models.list()) ids.push(id);
      const { owned_by } = await openai.models.retrieve(ids[0]);
      const error = await openai.models.retrieve('gpt-5').catch((error) => error);
      const { NotFoundError } = globalThis.clients.OpenAI;
      return { ids, owned_by, error: error instanceof NotFoundError && [error.status, error.code, error.param] };
    });
    expect(found).toEqual({
      ids: [NAME],
      owned_by: 'qwen-webgpu',
      error: [404, 'model_not_found', 'model'],
    });
  });

  test('gets a whole answer', async () => {
    const { choices, usage } = await page.evaluate((body) => openai.chat.completions.create(body), hello);
    expect(choices).toMatchObject([{ message: { role: 'assistant', content: GREETING }, finish_reason: 'stop' }]);
    expect(usage?.total_tokens).toBe(usage!.prompt_tokens + usage!.completion_tokens);
  });

  test('streams thoughts and answer apart, and the usage last', async () => {
    const chunks = await page.evaluate(async (body) => {
      const stream = await openai.chat.completions.create({
        ...body,
        messages: [{ role: 'user', content: "Wie geht's?" }],
        chat_template_kwargs: { enable_thinking: true },
        stream: true,
        stream_options: { include_usage: true },
      } as typeof body & { stream: true });
      const chunks = [];
      for await (const chunk of stream) chunks.push(chunk);
      return chunks;
    }, hello);
    const deltas = chunks.map(({ choices }) => choices[0]?.delta as Library.ChatCompletionChunk['choices'][0]['delta']);
    const joined = (field: 'content' | 'reasoning_content') => deltas.map((delta) => delta?.[field] ?? '').join('');
    expect(joined('reasoning_content')).toMatch(/^German/);
    expect(joined('content').trim()).toBe('Mir geht es gut, danke. Und dir?');
    expect(deltas.filter((delta) => delta?.content).length, 'it came in pieces').toBeGreaterThan(5);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: expect.any(Number) } });
    expect(chunks.at(-2)).toMatchObject({ choices: [{ finish_reason: 'stop' }], usage: null });
  });

  test('its stream helper gathers the answer', async () => {
    const gathered = await page.evaluate(async (body) => {
      const events: string[] = [];
      const stream = openai.chat.completions
        .stream({ ...body, stream_options: { include_usage: true } })
        .on('content', (delta) => events.push(delta))
        .on('finalContent', () => events.push('END'));
      const { choices } = await stream.finalChatCompletion();
      return { events, choices, usage: await stream.totalUsage() };
    }, hello);
    expect(gathered.events.join('')).toBe(`${GREETING}END`);
    expect(gathered.choices).toMatchObject([{ message: { content: GREETING }, finish_reason: 'stop' }]);
    expect(gathered.usage.completion_tokens).toBeGreaterThan(5);
  });

  test('ends an answer in the middle, by its stream and by a signal, and the next one comes', async () => {
    const ended = await page.evaluate(async (body) => {
      const endless = { ...body, ignore_eos: true, stream: true } as typeof body & { stream: true };
      const pieces: number[] = [];
      const byStream = await openai.chat.completions.create(endless);
      let seen = 0;
      for await (const chunk of byStream) if (chunk.choices[0].delta.content && ++seen === 3) break;
      pieces.push(seen);
      const controller = new AbortController();
      const bySignal = await openai.chat.completions.create(endless, { signal: controller.signal });
      seen = 0;
      for await (const chunk of bySignal) if (chunk.choices[0].delta.content && ++seen === 3) controller.abort();
      pieces.push(seen);
      const waiting = openai.chat.completions.create({ ...body, ignore_eos: true } as typeof body, {
        signal: AbortSignal.timeout(50),
      });
      const error = await waiting.catch((error) => error);
      const isAbort = error instanceof globalThis.clients.OpenAI.APIUserAbortError;
      const { choices } = await openai.chat.completions.create(body);
      return { pieces, isAbort, next: choices[0].message.content };
    }, hello);
    expect(ended.pieces[0]).toBe(3);
    expect(ended.pieces[1], 'what was on its way may still come').toBeLessThan(100); // of some 2000
    expect(ended).toMatchObject({ isAbort: true, next: GREETING });
  });

  test('two requests at once wait for each other, each with its own answer', async () => {
    const { texts, order } = await page.evaluate(async (body) => {
      const order: number[] = [];
      const texts = await Promise.all(
        ['Hello', 'Thanks'].map(async (content, i) => {
          const stream = openai.chat.completions.stream({ ...body, messages: [{ role: 'user', content }] });
          stream.on('content', () => order.push(i));
          return stream.finalContent();
        }),
      );
      return { texts, order };
    }, hello);
    expect(texts).toEqual([GREETING, 'You are welcome!']);
    expect(order).toEqual([...order].sort());
  });

  test('completes a prompt, whole and streamed', async () => {
    const prompt = '<|im_start|>user\nThanks<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n';
    const texts = await page.evaluate(
      async (body) => {
        const whole = await openai.completions.create(body);
        let streamed = '';
        for await (const { choices } of await openai.completions.create({ ...body, stream: true })) {
          streamed += choices[0].text;
        }
        return [whole.choices[0].text, streamed];
      },
      { model: NAME, temperature: 0, prompt },
    );
    expect(texts).toEqual(['You are welcome!', 'You are welcome!']);
  });

  test('shows a picture', async () => {
    const answer = await page.evaluate((body) => openai.chat.completions.create(body), {
      ...plainly,
      messages: [{ role: 'user' as const, content: await seen('What do you see?') }],
    });
    expect(answer.choices[0].message.content).toMatch(SEEN);
  });

  test('errors come as its classes, with what OpenAI’s have', async () => {
    const errors = await page.evaluate(async (body) => {
      const { OpenAI } = globalThis.clients;
      const classes = [OpenAI.BadRequestError, OpenAI.NotFoundError];
      const told = (request: PromiseLike<unknown>) =>
        Promise.resolve(request).then(
          () => 'no error',
          (error) => [classes.find((known) => error instanceof known)?.name, error.param, error.code, error.message],
        );
      const { completions } = openai.chat;
      const long = { role: 'user' as const, content: 'a long story '.repeat(2000) };
      const schema = { type: 'array', items: { type: 'integer' }, uniqueItems: true };
      const response_format = { type: 'json_schema' as const, json_schema: { name: 'set', schema } };
      return Promise.all([
        told(completions.create({ ...body, top_p: 3 })),
        told(completions.create({ ...body, top_p: 3, stream: true })),
        told(completions.stream({ ...body, n: 2 }).finalContent()),
        told(completions.create({ ...body, model: 'gpt-5' })),
        told(completions.create({ ...body, messages: [long] })),
        told(completions.create({ ...body, response_format })),
        told(openai.embeddings.create({ model: body.model, input: 'Hello' })),
      ]);
    }, hello);
    const says = expect.stringMatching(/\w{3}/);
    expect(errors).toEqual([
      ['BadRequestError', 'top_p', null, says],
      ['BadRequestError', 'top_p', null, says],
      ['BadRequestError', 'n', null, says],
      ['NotFoundError', 'model', 'model_not_found', says],
      ['BadRequestError', 'messages', 'context_length_exceeded', says],
      ['BadRequestError', 'response_format.json_schema.schema.uniqueItems', null, says],
      ['NotFoundError', null, 'unknown_url', expect.stringContaining('/v1/embeddings')],
    ]);
  });

  test('answers in a JSON schema, whole and streamed', async () => {
    const ajv = new Ajv2020();
    for (const [schema, stream] of SCHEMAS) {
      const { message, finish_reason } = await page.evaluate(
        async ({ body, stream }) => {
          const { completions } = openai.chat;
          const { choices } = stream
            ? await completions.stream(body).finalChatCompletion()
            : await completions.create(body);
          return choices[0];
        },
        {
          body: {
            ...hello,
            response_format: { type: 'json_schema' as const, json_schema: { name: 'answer', schema } },
          },
          stream,
        },
      );
      expect(finish_reason).toBe('stop');
      expect(ajv.validate(schema, JSON.parse(message.content ?? '')), message.content ?? '').toBe(true);
    }
  });

  test('parse gives a value of a zod schema', async () => {
    const { parsed, valid } = await page.evaluate(async (body) => {
      const { Shape, zodResponseFormat } = clients;
      const response_format = zodResponseFormat(Shape, 'shape');
      const { choices } = await openai.chat.completions.parse({ ...body, response_format });
      const { parsed } = choices[0].message;
      return { parsed, valid: Shape.safeParse(parsed).success };
    }, hello);
    expect({ parsed, valid }).toEqual({ parsed: SHAPE, valid: true });
  });

  test('tool_choice: none hides the tools', async () => {
    const { choices } = await page.evaluate((body) => openai.chat.completions.create(body), {
      ...hello,
      tools,
      tool_choice: 'none' as const,
    });
    expect(choices).toMatchObject([{ message: { content: GREETING }, finish_reason: 'stop' }]);
    expect(choices[0].message.tool_calls).toBeUndefined();
  });

  // First of those with tools: it writes their fields in another order, which makes another prompt.
  test('runTools calls, answers with the result, and ends', async () => {
    const messages = await page.evaluate(
      async ({ body, tools }) => {
        const runnable = tools.map(({ type, function: { name, description, parameters = {} } }) => ({
          type,
          function: { name, description, parameters, parse: JSON.parse, function: globalThis.runTool },
        }));
        const runner = openai.chat.completions.runTools({ ...body, tools: runnable });
        await runner.finalContent();
        return runner.messages;
      },
      { body: { ...plainly, messages: [product] }, tools },
    );
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'assistant']);
    expect(messages.at(-1)?.content).toContain(PRODUCT);
  });

  test('a tool: its arguments stream, and its result is answered', async () => {
    const { calls, pieces, reason, answer } = await page.evaluate(
      async ({ body, result }) => {
        const pieces: string[] = [];
        const stream = openai.chat.completions
          .stream(body)
          .on('tool_calls.function.arguments.delta', ({ arguments_delta }) => pieces.push(arguments_delta));
        const [{ message, finish_reason }] = (await stream.finalChatCompletion()).choices;
        const calls = message.tool_calls ?? [];
        const messages = [
          ...body.messages,
          message,
          ...calls.map(({ id }) => ({ role: 'tool' as const, tool_call_id: id, content: result })),
        ];
        const next = await openai.chat.completions.create({ ...body, messages });
        return { calls, pieces, reason: finish_reason, answer: next.choices[0].message };
      },
      { body: { ...plainly, tools, messages: [product] }, result: PRODUCT },
    );
    expect(reason).toBe('tool_calls');
    expect(nameOf(calls)).toBe('calculate');
    expect(JSON.parse(pieces.join(''))).toEqual({ expression: '1234 * 567' });
    expect(pieces.length, 'pieces of the arguments').toBeGreaterThan(3);
    expect(answer).toMatchObject({ content: `1234 * 567 = ${PRODUCT}.` });
  });

  test('tool_choice: any tool, and one by name', async () => {
    const [required, named] = await page.evaluate(
      async (body) => {
        const choose = async (tool_choice: 'required' | { type: 'function'; function: { name: string } }) =>
          (await openai.chat.completions.create({ ...body, tool_choice })).choices[0];
        return [await choose('required'), await choose({ type: 'function', function: { name: 'now' } })];
      },
      { ...plainly, tools, messages: [product] },
    );
    expect(tools.map(({ function: { name } }) => name)).toContain(nameOf(required.message.tool_calls));
    expect(required.finish_reason).toBe('tool_calls');
    expect(nameOf(named.message.tool_calls), 'though another would have answered').toBe('now');
    expect(named.finish_reason).toBe('tool_calls');
  });
});

test.describe('the AI SDK', () => {
  const options = { temperature: 0, providerOptions: { engine: { enable_thinking: false } } };

  test('runs tools, in several steps', async () => {
    const made = await page.evaluate(
      async ({ options, prompt, functions }) => {
        const { generateText, jsonSchema, stepCountIs, tool } = clients.ai;
        const tools = functions.map(({ name, description, parameters = {} }) => [
          name,
          tool({
            description,
            inputSchema: jsonSchema<{ expression: string }>(parameters),
            execute: globalThis.runTool,
          }),
        ]);
        const { text, steps } = await generateText({
          model: tiny,
          prompt,
          tools: Object.fromEntries(tools),
          stopWhen: stepCountIs(3),
          ...options,
        });
        return { text, calls: steps.map(({ toolCalls }) => toolCalls.map(({ input }) => input)) };
      },
      { options, prompt: product.content, functions: tools.map((each) => each.function) },
    );
    expect(made.calls).toEqual([[{ expression: '1234 * 567' }], []]);
    expect(made.text).toContain(PRODUCT);
  });

  test('generates text', async () => {
    const made = await page.evaluate(async (options) => {
      const { text, finishReason, usage } = await clients.ai.generateText({ model: tiny, prompt: 'Hello', ...options });
      return { text, finishReason, tokens: usage.outputTokens };
    }, options);
    expect(made).toEqual({ text: GREETING, finishReason: 'stop', tokens: expect.any(Number) });
  });

  test('generates an object of a zod schema', async () => {
    const made = await page.evaluate(async (options) => {
      const { ai, Shape } = clients;
      const { object, finishReason } = await ai.generateObject({
        model: tiny,
        schema: Shape,
        prompt: 'Hello',
        maxRetries: 0,
        ...options,
      });
      return { object, finishReason, valid: Shape.safeParse(object).success };
    }, options);
    expect(made).toEqual({ object: SHAPE, finishReason: 'stop', valid: true });
  });

  test('streams text and thoughts', async () => {
    const { reasoning, text, pieces, usage } = await page.evaluate(async () => {
      const answer = clients.ai.streamText({ model: tiny, prompt: "Wie geht's?", temperature: 0 });
      const pieces: string[] = [];
      for await (const part of answer.fullStream) pieces.push(part.type);
      return { reasoning: await answer.reasoningText, text: await answer.text, pieces, usage: await answer.usage };
    });
    expect(reasoning).toMatch(/^German/);
    expect(text.trim()).toBe('Mir geht es gut, danke. Und dir?');
    expect(pieces.filter((type) => type === 'reasoning-delta').length).toBeGreaterThan(1);
    expect(pieces.filter((type) => type === 'text-delta').length).toBeGreaterThan(5);
    expect(usage.outputTokens, 'from the usage chunk').toBeGreaterThan(5);
  });

  test('shows a picture', async () => {
    const text = await page.evaluate(
      async ({ options, parts }) => {
        const [{ image_url }, { text }] = parts;
        const content = [
          { type: 'image' as const, image: image_url!.url },
          { type: 'text' as const, text: text! },
        ];
        return (await clients.ai.generateText({ model: tiny, messages: [{ role: 'user', content }], ...options })).text;
      },
      { options, parts: (await seen('What do you see?')) as { image_url?: { url: string }; text?: string }[] },
    );
    expect(text).toMatch(SEEN);
  });

  test('aborts, and errors are its own', async () => {
    const ended = await page.evaluate(async (options) => {
      const { APICallError, generateText, streamText } = clients.ai;
      const controller = new AbortController();
      const endless = streamText({
        model: tiny,
        prompt: 'Hello',
        temperature: 0,
        providerOptions: { engine: { enable_thinking: false, ignore_eos: true } },
        abortSignal: controller.signal,
      });
      const parts: string[] = [];
      for await (const { type } of endless.fullStream) {
        parts.push(type);
        if (type === 'text-delta') controller.abort();
      }
      const error = await generateText({ model: tiny, prompt: 'Hello', ...options, topP: 3, maxRetries: 2 }).catch(
        (error) => error,
      );
      const next = await generateText({ model: tiny, prompt: 'Thanks', ...options });
      const told = APICallError.isInstance(error) && [error.statusCode, error.isRetryable, error.message];
      return { last: parts.at(-1), told, next: next.text };
    }, options);
    expect(ended).toEqual({
      last: 'abort',
      told: [400, false, expect.stringContaining('top_p')],
      next: 'You are welcome!',
    });
  });
});

test.describe('a service worker', () => {
  const CHAT = '/v1/chat/completions';
  const endless = JSON.stringify({ ...hello, ignore_eos: true, stream: true });
  let signals: () => Promise<boolean[]>;

  /** Of a tab that the worker answers. */
  async function register(page: Page, script: string, type: WorkerType): Promise<void> {
    await page.evaluate(
      async ([script, type]) => {
        const controlled = new Promise((resolve) =>
          navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true }),
        );
        await navigator.serviceWorker.register(script, { type: type as WorkerType, scope: '/' });
        await controlled;
      },
      [script, type],
    );
  }

  test('answers in OpenAI’s shape while no page has an engine, as a classic script beside others', async () => {
    await register(page, '/e2e/engine-service-worker.classic.js', 'classic');
    const { status, body, own } = await page.evaluate(async () => {
      const response = await fetch('/v1/models');
      return { status: response.status, body: await response.json(), own: await (await fetch('/own')).text() };
    });
    expect(status).toBe(503);
    expect(body).toEqual({
      error: { message: expect.stringContaining('Open'), type: 'server_error', param: null, code: 'no-engine' },
    });
    expect(own).toBe('of its own');
  });

  test('streams to a plain fetch on the page', async () => {
    await register(page, '/e2e/engine-service-worker.js', 'module');
    signals = () => page.evaluate(() => globalThis.signals.map(({ aborted }) => aborted));
    const { pieces, text } = await page.evaluate(
      async ([url, body]) => {
        globalThis.signals = [];
        globalThis.stopServing = await globalThis.library.serveFromServiceWorker({
          fetch: (input, init) => {
            globalThis.signals.push((input as Request).signal);
            return globalThis.engine.fetch(input, init);
          },
        });
        const response = await fetch(url, { method: 'POST', body });
        const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
        const pieces: string[] = [];
        for (let next = await reader.read(); !next.done; next = await reader.read()) pieces.push(next.value);
        return { pieces: pieces.length, text: pieces.join('') };
      },
      [CHAT, JSON.stringify({ ...hello, stream: true })],
    );
    expect(pieces).toBeGreaterThan(5);
    expect(text).toMatch(/^data: \{.*\n\ndata: \[DONE\]\n\n$/s);
  });

  test('lets OpenAI’s client do with an address alone, in another tab too', async () => {
    const other = await page.context().newPage();
    await other.goto('/e2e/clients.html');
    await other.waitForFunction(() => globalThis.clients !== undefined && navigator.serviceWorker.controller !== null);
    for (const tab of [page, other]) {
      const told = await tab.evaluate(async (body) => {
        const client = new globalThis.clients.OpenAI({
          baseURL: `${location.origin}/v1`,
          apiKey: '-',
          dangerouslyAllowBrowser: true,
        });
        const answer = await client.chat.completions.stream(body).finalContent();
        const error = await client.chat.completions.create({ ...body, top_p: 3 }).catch((error) => error);
        return { answer, status: error.status, param: error.param };
      }, hello);
      expect(told).toEqual({ answer: GREETING, status: 400, param: 'top_p' });
    }
    // An abort in the middle of a stream and a tab that goes away end the engine's work.
    await other.evaluate(
      async ([url, body]) => {
        const controller = new AbortController();
        const response = await fetch(url, { method: 'POST', body, signal: controller.signal });
        await response.body!.getReader().read();
        controller.abort();
      },
      [CHAT, endless],
    );
    await expect.poll(signals).toEqual([false, false, false, false, false, true]);
    await other.evaluate(
      async ([url, body]) => {
        const response = await fetch(url, { method: 'POST', body });
        await response.body!.getReader().read();
      },
      [CHAT, endless],
    );
    await other.close();
    await expect.poll(signals).toEqual([false, false, false, false, false, true, true]);
  });

  test('ends what runs, and has no engine any more, when the page stops', async () => {
    const ended = await page.evaluate(
      async ([url, body]) => {
        const reader = (await fetch(url, { method: 'POST', body })).body!.getReader();
        await reader.read();
        globalThis.stopServing();
        const readAll = async () => {
          while (!(await reader.read()).done);
        };
        const broken = await readAll().catch((error) => error.name);
        return { broken, aborted: globalThis.signals.at(-1)?.aborted, status: (await fetch('/v1/models')).status };
      },
      [CHAT, endless],
    );
    expect(ended).toEqual({ broken: 'TypeError', aborted: true, status: 503 });
  });
});

/** Of the one tool that is called. */
function nameOf(calls: readonly unknown[] = []): string | undefined {
  expect(calls).toHaveLength(1);
  return (calls as Library.ToolCall[])[0].function.name;
}

/** A held-out picture with one shape, and a question about it. */
async function seen(question: string) {
  const questions = await readQuestions('fixtures/tiny/questions.jsonl');
  const { buffer } = pictureOf(questions.find(({ key }) => key === 'scene|yellow square 5')!);
  const url = `data:image/png;base64,${buffer.toString('base64')}`;
  return [
    { type: 'image_url' as const, image_url: { url } },
    { type: 'text' as const, text: question },
  ];
}
const SEEN = /yellow square/;

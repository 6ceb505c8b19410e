/** Formats through the true engine: the clients' own helpers on `engine.fetch`, with the model that the page ships. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject } from 'ai';
import { Ajv2020 } from 'ajv/dist/2020.js';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture } from '../../tools/testing/fixtures.ts';
import { randomSchema } from '../../tools/testing/json-schemas.ts';
import { type WatchedGpu, watchGpu } from '../../tools/testing/watched-gpu.ts';
import { Engine } from '../index.ts';
import { Random } from '../text/random.ts';

let watched: WatchedGpu;
let engine: Engine;
let client: OpenAI;

beforeAll(async () => {
  watched = watchGpu(await testGpu());
  engine = await Engine.load({
    model: await fixture('../demo/models/tiny.gguf'),
    gpu: watched.gpu,
    store: 'none',
    contextLength: 1024,
  });
  client = new OpenAI({ baseURL: 'http://engine/v1', apiKey: '-', fetch: engine.fetch, dangerouslyAllowBrowser: true });
});

afterAll(async () => {
  await engine?.dispose();
  expect(watched.liveBuffers).toBe(0);
});

const Person = z.object({
  name: z.string().max(8),
  age: z.number().int().min(0).max(150),
  likes: z.array(z.enum(['tea', 'coffee'])).max(2),
  address: z.object({ city: z.string().max(6) }).nullable(),
});
const messages = [{ role: 'user' as const, content: 'My name is Ada. Who am I?' }];

test('openai’s parse gives a value of the zod schema', async () => {
  const { choices } = await client.chat.completions.parse({
    model: engine.info.name,
    messages,
    response_format: zodResponseFormat(Person, 'person'),
    max_completion_tokens: 600,
  });
  expect(choices[0].finish_reason).toBe('stop');
  expect(Person.parse(choices[0].message.parsed)).toEqual(choices[0].message.parsed);
});

test('the AI SDK’s generateObject does', async () => {
  const provider = createOpenAICompatible({
    name: 'engine',
    baseURL: 'http://engine/v1',
    fetch: engine.fetch,
    supportsStructuredOutputs: true,
  });
  const { object } = await generateObject({
    model: provider(engine.info.name),
    schema: Person,
    prompt: messages[0].content,
    maxOutputTokens: 600,
    maxRetries: 0,
  });
  expect(Person.parse(object)).toEqual(object);
});

test('generated schemas are kept, streamed, hot and with thinking', async () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const random = new Random(77);
  for (let n = 0; n < 3; n++) {
    const schema = randomSchema(random);
    const stream = await engine.chat.completions.create({
      messages,
      stream: true,
      seed: n,
      temperature: 0.5 + n / 2,
      enable_thinking: n === 0,
      max_tokens: 120,
      response_format: { type: 'json_schema', json_schema: { name: 'n', schema } },
    });
    let text = '';
    let reason: string | null = null;
    for await (const { choices } of stream) {
      text += choices[0]?.delta.content ?? '';
      reason = choices[0]?.finish_reason ?? reason;
    }
    if (reason === 'length') expect(() => JSON.parse(text)).toThrow();
    else expect(ajv.validate(schema, JSON.parse(text)), `${JSON.stringify(schema)}\n${text}`).toBe(true);
  }
});

test('a schema that cannot be kept is refused as OpenAI refuses', async () => {
  const refused = client.chat.completions.create({
    model: engine.info.name,
    messages,
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { not: { type: 'string' } } } },
  });
  await expect(refused).rejects.toMatchObject({ status: 400, param: 'response_format.json_schema.schema.not' });
});

test('a required call names one of the tools', async () => {
  const tools = ['weather', 'wealth', 'now'].map((name) => ({ type: 'function' as const, function: { name } }));
  const { choices } = await engine.chat.completions.create({
    messages,
    tools,
    tool_choice: 'required',
    max_tokens: 40,
  });
  const [{ message }] = choices;
  const name = message.tool_calls?.[0].function.name ?? /<function=([^>]*)>/.exec(String(message.content))?.[1];
  expect(['weather', 'wealth', 'now']).toContain(name);
});

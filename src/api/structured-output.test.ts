/** Answers in a format, from a model that draws its logits: only the grammar can make them what they are. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { beforeAll, expect, it } from 'vitest';
import { randomSchema } from '../../tools/testing/json-schemas.ts';
import { randomTokens } from '../../tools/testing/random-model.ts';
import { Random } from '../text/index.ts';
import { FORMATS } from '../text/json-strings.ts';
import { type Stage, stage } from './fixtures.ts';
import type { ChatCompletionRequest, ResponseFormat } from './types.ts';

const SCHEMAS = 220;

const ajv = new Ajv2020({ strict: false });
for (const [name, pattern] of FORMATS) ajv.addFormat(name, new RegExp(pattern, 'u'));
// Dates that a calendar has.
ajv.addFormat('date', (text) => new Date(`${text}T00:00Z`).toISOString().startsWith(text));
ajv.addFormat('date-time', (text) => !Number.isNaN(Date.parse(text)));
ajv.addFormat('uri', (text) => URL.canParse(text));

let on: Stage;
let nextId = 1;

beforeAll(async () => {
  on = await stage(8192);
  await on.host.load(0, { model: 'x' });
});

/** The answer of a model with a seed. */
async function ask(seed: number, request: Partial<ChatCompletionRequest>, patience = 30) {
  on.model.generate = (promptIds, options) => randomTokens(on.tokenizer, options, promptIds, seed, patience);
  const messages = [{ role: 'user' as const, content: 'hi' }];
  const { result } = await on.host.chat(nextId++, { messages, seed, max_tokens: 1500, ...request });
  return result!.choices[0];
}

const inSchema = (schema: Record<string, unknown>): ResponseFormat => ({
  type: 'json_schema',
  json_schema: { name: 'answer', schema, strict: true },
});

const SETTINGS: readonly Partial<ChatCompletionRequest>[] = [
  {},
  { temperature: 1, top_p: 1, top_k: 0 },
  { temperature: 2, top_p: 0.9 },
  { temperature: 0 },
  { temperature: 1.3, min_p: 0.05, repetition_penalty: 1.2 },
];

it(`keeps ${SCHEMAS} generated schemas, whatever the model would say`, { timeout: 300_000 }, async () => {
  const random = new Random(20);
  for (let n = 0; n < SCHEMAS; n++) {
    const schema = randomSchema(random);
    const told = `schema ${n}: ${JSON.stringify(schema)}`;
    const enable_thinking = n % 4 === 0;
    const request = { ...SETTINGS[n % SETTINGS.length], enable_thinking, response_format: inSchema(schema) };
    const { message, finish_reason } = await ask(n, request).catch((error: unknown) => {
      throw new Error(told, { cause: error });
    });
    expect(finish_reason, `${told}\n${message.content}`).toBe('stop');
    const value: unknown = JSON.parse(message.content as string);
    const valid = ajv.validate(schema, value);
    expect(valid, `${told}\n${message.content}\n${ajv.errorsText()}`).toBe(true);
  }
});

const PERSON_SCHEMA = {
  type: 'object',
  properties: { name: { type: 'string', maxLength: 5 }, born: { type: 'integer' } },
  required: ['name', 'born'],
};
const PERSON = inSchema(PERSON_SCHEMA);

const tools = ['add', 'address', 'say'].map((name) => ({
  type: 'function' as const,
  function: { name, parameters: { type: 'object', properties: { text: { type: 'string' } } } },
}));

it.each([true, false])('keeps json_object, with thinking %s', async (enable_thinking) => {
  for (let seed = 0; seed < 5; seed++) {
    const request = { enable_thinking, response_format: { type: 'json_object' as const } };
    const { message, finish_reason } = await ask(seed, request);
    expect(finish_reason).toBe('stop');
    expect(JSON.parse(message.content as string)).toBeTypeOf('object');
    expect(message.content).toMatch(/^\{.*\}$/s);
    expect(Boolean(message.reasoning_content)).toBe(enable_thinking);
  }
});

it('thinks as without a format, and does not end its turn before the answer', async () => {
  // As long as nothing ends the turn, the same tokens are drawn.
  const [free, held] = [
    await ask(5, { max_tokens: 25, return_token_ids: true }, 1e9),
    await ask(5, { max_tokens: 25, return_token_ids: true, response_format: PERSON }, 1e9),
  ];
  expect(free.finish_reason).toBe('length');
  expect(held.token_ids).toEqual(free.token_ids);
  const ends = on.tokenizer.specialId('<|im_end|>')!;
  const logit_bias = { [ends]: 100 };
  const { message } = await ask(5, { response_format: PERSON, logit_bias });
  expect(ajv.validate(PERSON_SCHEMA, JSON.parse(String(message.content)))).toBe(true);
});

it('tells by its reason that an answer was cut', async () => {
  const { message, finish_reason } = await ask(1, { enable_thinking: false, max_tokens: 6, response_format: PERSON });
  expect(finish_reason).toBe('length');
  expect(message.content).toMatch(/^\{/);
  expect(() => JSON.parse(message.content as string)).toThrow();
});

it('no bias brings a token that the format does not allow', async () => {
  const logit_bias = Object.fromEntries(on.tokenizer.encode('hello there').map((id) => [id, 100]));
  const { message } = await ask(2, {
    enable_thinking: false,
    response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'integer' } } },
    logit_bias,
  });
  expect(message.content).toMatch(/^(0|-?[1-9]\d*)$/);
});

it('a call that is required names a tool of the request, whatever the model would name', async () => {
  const names = new Set<string>();
  for (let seed = 0; seed < 12; seed++) {
    const { message } = await ask(seed, { tools, tool_choice: 'required', max_tokens: 60 }, 1e9);
    const found = message.tool_calls?.[0]?.function.name ?? /<function=([^>]*)>/.exec(String(message.content))?.[1];
    expect(found, JSON.stringify(message)).toBeOneOf(['add', 'address', 'say']);
    names.add(found!);
  }
  expect(names.size).toBeGreaterThan(1);
});

it('with tools, an answer is in the format or begins with a call', async () => {
  let calls = 0;
  for (let seed = 0; seed < 12; seed++) {
    const request = {
      tools,
      response_format: PERSON,
      enable_thinking: false,
      max_tokens: 200,
      temperature: 2,
      top_k: 0,
    };
    const { message, finish_reason } = await ask(seed, request, seed % 2 ? 10 : 1e9);
    const text = String(message.content);
    if (message.tool_calls || text.startsWith('<tool_call>')) calls++;
    else if (finish_reason === 'stop') expect(JSON.parse(text)).toMatchObject({ born: expect.any(Number) });
    else expect(text).toMatch(/^\{/);
  }
  expect(calls).toBeGreaterThan(0);
  expect(calls).toBeLessThan(12);
});

it.each<[keyword: string, schema: Record<string, unknown>]>([
  ['not', { not: {} }],
  ['if', { if: {} }],
  ['dependentRequired', { type: 'object', dependentRequired: { a: ['b'] } }],
  ['unevaluatedProperties', { type: 'object', unevaluatedProperties: false }],
  ['contains', { type: 'array', contains: {} }],
  ['uniqueItems', { type: 'array', items: { type: 'integer' }, uniqueItems: true }],
  ['multipleOf', { type: 'number', multipleOf: 0.1 }],
  ['type', { type: 'text' }],
  ['format', { type: 'string', format: 'iri' }],
  ['maxLength', { type: 'string', pattern: '^a+$', maxLength: 3 }],
  ['pattern', { type: 'string', pattern: '^(?=a)' }],
  ['pattern', { type: 'string', pattern: '\\bword' }],
  ['pattern', { type: 'string', pattern: '(a)\\1' }],
  ['pattern', { type: 'string', pattern: '(' }],
  ['pattern', { type: 'string', pattern: '[一-龥]' }],
  ['pattern', { type: 'string', pattern: '^(?:[a-z]{1,30}-){1,30}$' }],
  ['properties.a.pattern', { type: 'object', properties: { a: { pattern: 'x(?!y)' } } }],
  ['minProperties', { type: 'object', additionalProperties: true, minProperties: 2 }],
  ['maxProperties', { type: 'object', properties: { a: {}, b: {} }, maxProperties: 1 }],
  ['patternProperties', { type: 'object', properties: { a: {} }, patternProperties: { '^x': {} } }],
  ['properties', { anyOf: [{ type: 'object' }], properties: { a: {} } }],
  ['', { oneOf: [{ type: 'string' }, { type: 'string', maxLength: 3 }] }],
  ['', { allOf: [{ type: 'object' }, { type: 'object' }] }],
  ['', { $ref: 'https://host/schema.json' }],
  ['', { $ref: '#/$defs/none' }],
  ['', { $ref: '#' }],
  ['', { type: 'object', properties: { again: { $ref: '#' } }, required: ['again'] }],
  ['', { type: 'integer', minimum: 5, maximum: 4 }],
  ['', { type: 'string', minLength: 5, maxLength: 4 }],
  ['', { anyOf: [] }],
  ['minItems', { type: 'array', minItems: -1 }],
])('refuses %s, by its place, in %j', async (keyword, schema) => {
  const asked = ask(0, { response_format: inSchema(schema) });
  const param = expect.stringContaining(`response_format.json_schema.schema${keyword === '' ? '' : `.${keyword}`}`);
  await expect(asked).rejects.toMatchObject({ code: 'invalid-request', param });
});

it('refuses a format for an answer that is not to end', async () => {
  const asked = ask(0, { response_format: PERSON, ignore_eos: true });
  await expect(asked).rejects.toMatchObject({ code: 'invalid-request', param: 'ignore_eos' });
});

it('says what stands in the way where the library may not run', async () => {
  const other = await stage();
  await other.host.load(0, { model: 'x', grammarScript: 'data:text/javascript,throw new Error("blocked")' });
  other.say('x<|im_end|>');
  const asked = other.host.chat(1, { messages: [{ role: 'user', content: 'hi' }], response_format: PERSON });
  await expect(asked).rejects.toMatchObject({
    code: 'no-grammar',
    message: expect.stringContaining('wasm-unsafe-eval'),
  });
});

/** What follows an answer that was cut. */
function goOn(seed: number, begun: string, request: Partial<ChatCompletionRequest> = {}, reasoning_content?: string) {
  return ask(seed, {
    messages: [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: begun, reasoning_content },
    ],
    continue_final_message: true,
    add_generation_prompt: false,
    enable_thinking: reasoning_content !== undefined,
    response_format: PERSON,
    ...request,
  });
}

it('goes on with an answer wherever it was cut, within the same format', async () => {
  const whole = JSON.stringify({ name: 'a"é\n', born: -120 });
  for (let cut = 0; cut <= whole.length; cut++) {
    const begun = whole.slice(0, cut);
    const { message, finish_reason } = await goOn(cut, begun);
    expect(finish_reason, begun).toBe('stop');
    const text = begun + (message.content ?? '');
    expect(ajv.validate(PERSON_SCHEMA, JSON.parse(text)), text).toBe(true);
  }
  expect((await goOn(1, whole)).message.content ?? '', 'nothing is missing').toBe('');
  const { message } = await goOn(2, ' {"a": [1, ', { response_format: { type: 'json_object' } });
  expect(JSON.parse(`{"a": [1, ${message.content}`)).toMatchObject({ a: expect.any(Array) });
});

it('goes on with reasoning that was cut, and with an answer behind one', async () => {
  const { message } = await goOn(3, '', {}, 'Well, so');
  expect(message.reasoning_content).toBeTruthy();
  expect(ajv.validate(PERSON_SCHEMA, JSON.parse(message.content as string)), String(message.content)).toBe(true);
  const begun = '{"name": "Ada';
  const behind = (await goOn(4, begun, {}, 'Well, so')).message;
  expect(behind.reasoning_content ?? '').toBe('');
  expect(ajv.validate(PERSON_SCHEMA, JSON.parse(begun + behind.content)), begun + behind.content).toBe(true);
});

it('goes on with a value or with a call, where tools stand beside the format', async () => {
  const whole = '{"name": "Ada", "born": 1815}';
  const { message, finish_reason } = await goOn(5, whole, { tools });
  expect([message.content ?? '', finish_reason]).toEqual(['', 'stop']);
  const rest = (await goOn(6, whole.slice(0, 12), { tools })).message.content;
  expect(ajv.validate(PERSON_SCHEMA, JSON.parse(whole.slice(0, 12) + rest)), String(rest)).toBe(true);
  for (const begun of ['<tool_call>\n<function=add>\n', '<tool_call>\n<function=add>\n<parameter=text>\na "b']) {
    // Free, so that the model ends it as it likes.
    const { finish_reason } = await goOn(7, begun, { tools, max_tokens: 5 }, undefined);
    expect(finish_reason, begun).toBe('length');
  }
});

it.each([
  ['Well, ', undefined],
  ['{"name": "Ada", "born": 1815} and', undefined],
  ['{"name": "Ada", "born": 1815} and', tools],
  ['<tool_call>\n<function=add>\n', undefined],
  ['<tool_call>\n<function=other>\n', tools],
])('does not go on with %j, which is not in the format', async (begun, tools) => {
  await expect(goOn(8, begun, { tools })).rejects.toMatchObject({ code: 'invalid-request', param: 'messages' });
});

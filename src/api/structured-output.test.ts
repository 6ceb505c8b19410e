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

it(`keeps ${SCHEMAS} generated schemas, whatever the model would say`, { timeout: 120_000 }, async () => {
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

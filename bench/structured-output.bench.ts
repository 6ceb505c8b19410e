/**
 * Answers in generated JSON schemas through the engine: how many satisfy theirs, what the grammar costs a token, and that
 * without one. MODEL=a .gguf, COUNT=40 schemas, SEED=1, TOKENS=300 at most.
 */
import { openAsBlob } from 'node:fs';
import { loadavg } from 'node:os';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { grammarScript, loadGrammarLibrary } from '../src/api/grammar-script.ts';
import { Engine } from '../src/index.ts';
import { largeVocabulary } from '../src/text/fixtures.ts';
import { Grammars, jsonSchemaGrammar, Random, Tokenizer } from '../src/text/index.ts';
import { allows } from '../src/text/token-mask.ts';
import { randomSchema } from '../tools/testing/json-schemas.ts';
import { openDawn } from './dawn.mjs';

const { MODEL = 'demo/models/tiny.gguf', COUNT = '40', SEED = '1', TOKENS = '300' } = process.env;

test('generated schemas', async () => {
  const file = new File([await openAsBlob(MODEL)], 'model.gguf');
  const engine = await Engine.load({ model: file, gpu: await openDawn(), store: 'none', contextLength: 2048 });
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const random = new Random(Number(SEED));
  const found = { valid: 0, cut: 0, wrong: 0 };
  const rates: { held: number[]; free: number[] } = { held: [], free: [] };
  for (let n = 0; n < Number(COUNT); n++) {
    const schema = randomSchema(random);
    const request = {
      messages: [{ role: 'user' as const, content: `Tell me about yourself, number ${n}.` }],
      enable_thinking: n % 4 === 0,
      temperature: 0.2 + (n % 5) * 0.3,
      seed: n,
      max_tokens: Number(TOKENS),
    };
    const response_format = { type: 'json_schema' as const, json_schema: { name: 'answer', schema } };
    const { choices } = await engine.chat.completions.create({ ...request, response_format });
    rates.held.push(1000 / engine.stats().decodeTokensPerSecond);
    const text = String(choices[0].message.content);
    if (choices[0].finish_reason === 'length') found.cut++;
    else if (ajv.validate(schema, JSON.parse(text))) found.valid++;
    else {
      found.wrong++;
      console.log(JSON.stringify(schema), text, ajv.errorsText());
    }
    if (n % 4 > 0) continue;
    await engine.chat.completions.create({ ...request, max_tokens: 40, ignore_eos: true });
    rates.free.push(1000 / engine.stats().decodeTokensPerSecond);
  }
  const { adapter } = engine.info;
  await engine.dispose();
  const median = (list: number[]) => list.sort((a, b) => a - b)[list.length >> 1].toFixed(1);
  console.log(
    [
      `${adapter}, ${MODEL}, ${COUNT} schemas of seed ${SEED}, load ${loadavg()[0].toFixed(1)}`,
      `valid ${found.valid}, cut at ${TOKENS} tokens ${found.cut}, wrong ${found.wrong}`,
      `median ms a token: in a format ${median(rates.held)}, without ${median(rates.free)}`,
    ].join('\n'),
  );
  expect(found.wrong).toBe(0);
});

test('a vocabulary of 152 thousand tokens', async () => {
  const tokenizer = new Tokenizer(await largeVocabulary());
  const stop = tokenizer.specialId('<|im_end|>')!;
  const grammars = new Grammars(tokenizer, new Set([stop]), () => loadGrammarLibrary(grammarScript()));
  const random = new Random(Number(SEED));
  const times = { compile: [] as number[], mask: [] as number[] };
  const timed = async <T>(list: number[], work: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    const result = await work();
    list.push(performance.now() - start);
    return result;
  };
  await grammars.mask({ ...jsonSchemaGrammar({}, ''), ends: 'value' }, { thinking: false }); // loads the library
  for (let n = 0; n < Number(COUNT); n++) {
    const schema = randomSchema(random);
    const grammar = { ...jsonSchemaGrammar(schema, ''), ends: 'value' } as const;
    const mask = await timed(times.compile, () => grammars.mask(grammar, { thinking: false }));
    for (let i = 0; i < 60; i++) {
      const allowed = (await timed(times.mask, () => mask.next()))!;
      const start = Math.floor(random.next() * tokenizer.vocabularySize);
      let id = start;
      while (!allows(allowed, id)) id = (id + 1) % tokenizer.vocabularySize;
      if (id === stop) break;
      mask.accept(id);
    }
    mask.dispose();
  }
  for (const [what, list] of Object.entries(times)) {
    list.sort((a, b) => a - b);
    const at = (share: number) => list[Math.floor(list.length * share)].toFixed(2);
    console.log(
      `${what}: median ${at(0.5)} ms, nine in ten below ${at(0.9)}, most ${at(0.9999)} (${list.length} times)`,
    );
  }
});

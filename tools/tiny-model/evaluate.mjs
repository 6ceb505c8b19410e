// @ts-check
/**
 * Asks held-out questions of the built library, in Node on Dawn, or of llama.cpp, greedily, and counts right answers.
 *
 *   python3 tools/tiny-model/data.py evaluate questions.jsonl 50
 *   node tools/tiny-model/evaluate.mjs MODEL.gguf questions.jsonl [--llama FOLDER] [--wrong]
 *
 * FOLDER has node-llama-cpp in its node_modules. Answers go to standard output as JSON lines, so that two runs can be
 * compared with diff; the table goes to standard error.
 */

import { openAsBlob } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

const LONGEST_ANSWER = 160; // tokens
const CONTEXT = 2048; // tokens; the longest question has some 1000

/** @typedef {{ category: string, key: string, thinking: boolean, prompt: string, expect: string[] }} Question */
/** @typedef {(prompt: string) => Promise<string>} Answer the greedy answer, without the end of the turn */

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { llama: { type: 'string' }, wrong: { type: 'boolean', default: false } },
});
const [model, file] = positionals;
if (!model || !file) throw new Error('Name a model and a file of questions.');

const answer = values.llama ? await llamaCpp(model, values.llama) : await library(model);
/** @type {Map<string, { asked: number, right: number }>} */
const table = new Map();
for (const line of (await readFile(file, 'utf8')).trim().split('\n')) {
  const question = /** @type {Question} */ (JSON.parse(line));
  const text = await answer(question.prompt);
  const right = isRight(question.expect, text);
  console.log(JSON.stringify({ key: question.key, text }));
  if (!right && values.wrong)
    console.error(`wrong: ${question.key}: ${JSON.stringify(text)}, expected ${question.expect}`);
  const row = table.get(question.category) ?? { asked: 0, right: 0 };
  table.set(question.category, { asked: row.asked + 1, right: row.right + Number(right) });
}
console.error('| category | questions | right |\n|---|---|---|');
for (const [category, { asked, right }] of table) {
  console.error(`| ${category} | ${asked} | ${((100 * right) / asked).toFixed(0)} % |`);
}
process.exit(0);

/**
 * @param {string[]} expect
 * @param {string} generated
 */
function isRight(expect, generated) {
  const afterThought = generated.split('</think>').at(-1) ?? '';
  return expect.every((text) => afterThought.includes(text));
}

/** @param {string} path @returns {Promise<Answer>} */
async function library(path) {
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const { Engine } = await import(new URL('../../dist/lib/index.js', import.meta.url).href);
  const gpu = create([]);
  const engine = await Engine.load({ model: await openAsBlob(path), gpu, store: 'none', contextLength: CONTEXT });
  return async (prompt) => {
    const result = await engine.completions.create({ prompt, max_tokens: LONGEST_ANSWER, temperature: 0 });
    return result.choices[0].text;
  };
}

/**
 * @param {string} path
 * @param {string} folder
 * @returns {Promise<Answer>}
 */
async function llamaCpp(path, folder) {
  const require = createRequire(`${resolve(folder)}/package.json`);
  const { getLlama, LlamaLogLevel } = await import(require.resolve('node-llama-cpp'));
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, skipDownload: true });
  const loaded = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
  const context = await loaded.createContext({ contextSize: CONTEXT, threads: 2 });
  const sequence = context.getSequence();
  return async (prompt) => {
    const ids = [];
    for await (const id of sequence.evaluate(loaded.tokenize(prompt, true), { temperature: 0 })) {
      ids.push(id);
      if (ids.length === LONGEST_ANSWER) break;
    }
    await sequence.clearHistory();
    return loaded.detokenize(ids, true);
  };
}

// @ts-check
/**
 * Asks llama.cpp the questions without pictures, as bare prompts, greedily, and counts the answers that are word for word the
 * reference's, which evaluate.py --answers wrote beside the questions.
 *
 *   node tools/tiny-model/llama.mjs fixtures/tiny/questions.jsonl MODEL.gguf FOLDER
 *
 * FOLDER has node-llama-cpp in its node_modules; this project does without it otherwise.
 */
import { createRequire } from 'node:module';
import { basename, resolve } from 'node:path';
import { CONTEXT, LONGEST_ANSWER, readQuestions } from './questions.mjs';

const [file, model, folder] = process.argv.slice(2);
if (!file || !model || !folder)
  throw new Error('Name a file of questions, a model and the folder with node-llama-cpp.');

const require = createRequire(`${resolve(folder)}/package.json`);
const { getLlama, LlamaLogLevel } = await import(require.resolve('node-llama-cpp'));
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, skipDownload: true });
const loaded = await llama.loadModel({ modelPath: resolve(model), gpuLayers: 0 });
// One thread: more spin while they wait for each other, longer than a model of this size takes.
const context = await loaded.createContext({ contextSize: CONTEXT, threads: 1 });
const sequence = context.getSequence();

/** @type {Map<string, { asked: number, same: number }>} */
const table = new Map();
for (const { category, key, prompt, answers } of await readQuestions(file)) {
  if (category === 'images') continue;
  const ids = [];
  for await (const id of sequence.evaluate(loaded.tokenize(prompt, true), { temperature: 0 })) {
    ids.push(id);
    if (ids.length === LONGEST_ANSWER) break;
  }
  await sequence.clearHistory();
  const text = loaded.detokenize(ids, true).trim();
  const reference = answers?.[basename(model)]?.trim();
  if (reference === undefined) throw new Error(`${file} has no answers of ${basename(model)}`);
  const row = table.get(category) ?? { asked: 0, same: 0 };
  table.set(category, { asked: row.asked + 1, same: row.same + Number(text === reference) });
  if (text !== reference) console.error(`${key}: ${JSON.stringify(text)} instead of ${JSON.stringify(reference)}`);
}
console.log('| category | questions | same answer |\n|---|---|---|');
for (const [category, { asked, same }] of table) console.log(`| ${category} | ${asked} | ${same} |`);
await llama.dispose();
process.exit(0);

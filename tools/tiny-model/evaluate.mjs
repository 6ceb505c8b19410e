// @ts-check
/**
 * Asks held-out questions through the built library, in Chromium as a page would, and counts right answers.
 *
 *   python3 tools/tiny-model/evaluate.py --questions questions.jsonl --count 100
 *   npm run build
 *   node tools/tiny-model/evaluate.mjs questions.jsonl MODEL.gguf [MMPROJ.gguf] [--wrong]
 *   node tools/tiny-model/evaluate.mjs questions.jsonl MODEL.gguf --node [--llama FOLDER]
 *
 * With `--node` the questions without pictures are asked as bare prompts in Node on Dawn, and with `--llama FOLDER` of
 * llama.cpp too (FOLDER has node-llama-cpp in its node_modules); then the table says how many answers are the same.
 */
import { openAsBlob } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

const LONGEST_ANSWER = 160; // tokens
const CONTEXT = 2048; // tokens; the longest question has some 1000

/**
 * @typedef {{ name: string, arguments: Record<string, string> }} Call
 * @typedef {object} Question
 * @property {string} category
 * @property {string} key What it turns on.
 * @property {boolean} thinking
 * @property {import('../../src/index.ts').ChatMessage[]} messages
 * @property {import('../../src/index.ts').Tool[]} tools
 * @property {string} prompt
 * @property {string[]} expect Texts that a right answer has after its thought.
 * @property {Call | null} call
 *
 * @typedef {{ text: string, right: boolean }} Answer
 * @typedef {{ ask(question: Question): Promise<Answer>, close(): Promise<void> }} Answerer
 */

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    node: { type: 'boolean', default: false },
    llama: { type: 'string' },
    wrong: { type: 'boolean', default: false },
  },
});
const [file, model, mmproj] = positionals;
if (!file || !model) throw new Error('Name a file of questions and a model.');

/** @type {Record<string, Answerer>} */
const answerers = values.node
  ? {
      'in Node': await inNode(model),
      ...(values.llama ? { 'llama.cpp': await llamaCpp(model, values.llama) } : {}),
    }
  : { 'in Chromium': await inChromium(model, mmproj) };
/** @type {Map<string, { asked: number, same: number, right: number[] }>} */
const table = new Map();
for (const line of (await readFile(file, 'utf8')).trim().split('\n')) {
  const question = /** @type {Question} */ (JSON.parse(line));
  if (question.category === 'images' && (values.node || !mmproj)) continue;
  /** @type {Answer[]} */
  const answers = [];
  for (const answerer of Object.values(answerers)) answers.push(await answerer.ask(question));
  const row = table.get(question.category) ?? { asked: 0, same: 0, right: answers.map(() => 0) };
  table.set(question.category, {
    asked: row.asked + 1,
    same: row.same + Number(answers.every(({ text }) => text === answers[0].text)),
    right: row.right.map((right, i) => right + Number(answers[i].right)),
  });
  if (values.wrong && answers.some(({ right, text }) => !right || text !== answers[0].text)) {
    const expected = JSON.stringify(question.call ?? question.expect);
    console.error(
      `${question.key}: ${answers.map(({ text }) => JSON.stringify(text)).join(' | ')}, expected ${expected}`,
    );
  }
}
const names = Object.keys(answerers);
const percent = (/** @type {number} */ part, /** @type {number} */ whole) => `${((100 * part) / whole).toFixed(0)} %`;
const columns = [
  'category',
  'questions',
  ...names.map((name) => `right ${name}`),
  ...(names[1] ? ['same answer'] : []),
];
console.log(`| ${columns.join(' | ')} |\n|${'---|'.repeat(columns.length)}`);
for (const [category, { asked, same, right }] of table) {
  const cells = [category, asked, ...right.map((n) => percent(n, asked)), ...(names[1] ? [percent(same, asked)] : [])];
  console.log(`| ${cells.join(' | ')} |`);
}
for (const answerer of Object.values(answerers)) await answerer.close();
process.exit(0);

/** @param {string} model @param {string | undefined} mmproj @returns {Promise<Answerer>} */
async function inChromium(model, mmproj) {
  const { chromium } = await import('playwright');
  const { BROWSER_REMEDY, findBrowser, launchOptions } = await import('../browser.mjs');
  const { serve } = await import('../serve.mjs');
  const found = await findBrowser();
  if (found === undefined) throw new Error(BROWSER_REMEDY);
  const server = await serve(0);
  const browser = await chromium.launch(launchOptions(found));
  const page = await browser.newPage();
  await page.goto(`${server.url}e2e/library.html`);
  await page.setContent('<input type="file" multiple>');
  await page.locator('input').setInputFiles([model, ...(mmproj ? [mmproj] : [])]);
  await page.evaluate(async (contextLength) => {
    const { Engine } = await import(/** @type {string} */ ('/lib/index.js'));
    const [model, mmproj] = document.querySelector('input')?.files ?? [];
    Object.assign(globalThis, { engine: await Engine.load({ model, mmproj, contextLength, store: 'none' }) });
  }, CONTEXT);
  return {
    async ask({ messages, tools, thinking, expect, call }) {
      // As text: the types of what may cross to a page do not reach the bottom of a message.
      const json = JSON.stringify({
        messages,
        tools: tools.length ? tools : null,
        enable_thinking: thinking,
        temperature: 0,
        max_tokens: LONGEST_ANSWER,
      });
      const message = await page.evaluate(async (json) => {
        /** @type {import('../../src/index.ts').ChatCompletionRequest & { stream?: false }} */
        const request = JSON.parse(json);
        const { engine } = /** @type {{ engine: import('../../src/index.ts').Engine }} */ (
          /** @type {unknown} */ (globalThis)
        );
        return (await engine.chat.completions.create(request)).choices[0].message;
      }, json);
      const text = message.content ?? '';
      if (call === null) return { text, right: expect.every((part) => text.includes(part)) };
      const made = message.tool_calls?.[0]?.function;
      const right = made?.name === call.name && sameArguments(made.arguments, call.arguments);
      return { text: made ? `${made.name}(${made.arguments})` : text, right };
    },
    async close() {
      await browser.close();
    },
  };
}

/**
 * @param {string} json
 * @param {Record<string, string>} expected
 */
function sameArguments(json, expected) {
  /** @type {Record<string, unknown>} */
  const made = JSON.parse(json);
  const keys = Object.keys(expected);
  return Object.keys(made).length === keys.length && keys.every((key) => String(made[key]) === expected[key]);
}

/**
 * @param {string[]} expect
 * @param {string} text
 * @returns {Answer}
 */
function judged(expect, text) {
  const afterThought = text.split('</think>').at(-1) ?? '';
  return { text, right: expect.every((part) => afterThought.includes(part)) };
}

/** @param {string} path @returns {Promise<Answerer>} */
async function inNode(path) {
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const { Engine } = await import(new URL('../../dist/lib/index.js', import.meta.url).href);
  const gpu = create([]);
  const engine = await Engine.load({ model: await openAsBlob(path), gpu, store: 'none', contextLength: CONTEXT });
  return {
    async ask({ prompt, expect }) {
      const result = await engine.completions.create({ prompt, max_tokens: LONGEST_ANSWER, temperature: 0 });
      return judged(expect, result.choices[0].text);
    },
    close: () => engine.dispose(),
  };
}

/**
 * @param {string} path
 * @param {string} folder
 * @returns {Promise<Answerer>}
 */
async function llamaCpp(path, folder) {
  const require = createRequire(`${resolve(folder)}/package.json`);
  const { getLlama, LlamaLogLevel } = await import(require.resolve('node-llama-cpp'));
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, skipDownload: true });
  const loaded = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
  const context = await loaded.createContext({ contextSize: CONTEXT, threads: 2 });
  const sequence = context.getSequence();
  return {
    async ask({ prompt, expect }) {
      const ids = [];
      for await (const id of sequence.evaluate(loaded.tokenize(prompt, true), { temperature: 0 })) {
        ids.push(id);
        if (ids.length === LONGEST_ANSWER) break;
      }
      await sequence.clearHistory();
      return judged(expect, loaded.detokenize(ids, true));
    },
    close: () => llama.dispose(),
  };
}

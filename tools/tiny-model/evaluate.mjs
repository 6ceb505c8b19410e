// @ts-check
/**
 * Asks held-out questions through the built library, in Chromium as a page would, and counts right answers.
 *
 *   python3 tools/tiny-model/evaluate.py --questions questions.jsonl --count 100
 *   npm run build
 *   node tools/tiny-model/evaluate.mjs questions.jsonl MODEL.gguf [MMPROJ.gguf] [--wrong]
 *
 * Beside llama.cpp: llama.mjs.
 */
import { parseArgs } from 'node:util';
import { CONTEXT, LONGEST_ANSWER, readQuestions } from './questions.mjs';

/**
 * @typedef {import('./questions.mjs').Question} Question
 * @typedef {{ text: string, right: boolean }} Answer
 * @typedef {{ ask(question: Question): Promise<Answer>, close(): Promise<void> }} Answerer
 */

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    wrong: { type: 'boolean', default: false },
  },
});
const [file, model, mmproj] = positionals;
if (!file || !model) throw new Error('Name a file of questions and a model.');

const answerer = await inChromium(model, mmproj);
/** @type {Map<string, { asked: number, right: number }>} */
const table = new Map();
for (const question of await readQuestions(file)) {
  if (question.category === 'images' && !mmproj) continue;
  const { text, right } = await answerer.ask(question);
  const row = table.get(question.category) ?? { asked: 0, right: 0 };
  table.set(question.category, { asked: row.asked + 1, right: row.right + Number(right) });
  if (values.wrong && !right) {
    console.error(
      `${question.key}: ${JSON.stringify(text)}, expected ${JSON.stringify(question.call ?? question.expect)}`,
    );
  }
}
console.log('| category | questions | right in Chromium |\n|---|---|---|');
for (const [category, { asked, right }] of table) {
  console.log(`| ${category} | ${asked} | ${((100 * right) / asked).toFixed(0)} % |`);
}
await answerer.close();
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

/**
 * The element in front of a server: the engine itself, in a process of its own in Node on Dawn, with the trained model.
 * OpenAI's client asks the same server from Node.
 */
import OpenAI from 'openai';
import { expect, type Page, test } from 'playwright/test';
import { tools as demoTools } from '../demo/tools.ts';
import type { QwenChat } from '../src/ui/qwen-chat.ts';
import { findDawnAdapter } from '../tools/adapters.mjs';
import { startTestServer } from '../tools/test-server.ts';
import { pictureOf, readQuestions } from '../tools/tiny-model/questions.mjs';
import { expectAccessible, OF_PAGES } from './accessible.ts';
import { choose } from './attach.ts';
import { answers, composer, thinkingOff } from './demo-page.ts';
import { type OpenAiServer, startOpenAiServer } from './openai-process.ts';

const NAME = 'Tiny demonstration model';
const KEY = 'secret';

// The whole test run says what is left out on a machine without one, or refuses to run.
test.skip((await findDawnAdapter()) === undefined, 'Dawn finds no adapter for the server.');

// One conversation after another on one page.
test.describe.configure({ mode: 'serial' });

let server: OpenAiServer;
let page: Page;

test.beforeAll(async ({ browser }) => {
  const files = ['demo/models/tiny.gguf', '--mmproj', 'demo/models/tiny-mmproj.gguf'];
  server = await startOpenAiServer(...files, '--context-length', '2048', '--api-key', KEY);
  page = await browser.newPage();
  await page.goto('/e2e/ui.html');
  await page.waitForFunction(() => customElements.get('qwen-chat') !== undefined);
});

test.afterAll(async () => {
  await page?.close();
  await server?.stop();
});

async function connect(fields: Partial<Pick<QwenChat, 'endpoint' | 'apiKey' | 'endpointModel'>>): Promise<void> {
  await page.evaluate((fields) => Object.assign(document.querySelector('qwen-chat')!, fields), fields);
}

async function expectTrouble(title: string, step: RegExp): Promise<void> {
  const alert = page.getByRole('alert');
  await expect(alert.locator('.error-title')).toHaveText(title);
  await expect(alert).toContainText(step);
  await expect(alert.getByRole('button', { name: 'Try again' })).toBeVisible();
}

/** Sends a message and waits for the whole answer. */
async function say(text: string, expected: RegExp): Promise<void> {
  const before = await answers(page).count();
  await composer(page).fill(text);
  await composer(page).press('Enter');
  await expect.poll(() => answers(page).count()).toBeGreaterThan(before);
  await expect(answers(page).last().getByRole('button', { name: 'Answer again' })).toBeVisible();
  await expect(answers(page).last().locator('qwen-markdown').last()).toHaveText(expected);
}

test('what keeps it from a server is told with the next step', async () => {
  const gone = await startTestServer();
  await gone.close();
  await connect({ endpoint: `${gone.origin}/v1`, apiKey: 'wrong' });
  await expectTrouble('The connection failed', /^.*127\.0\.0\.1:\d+ cannot be reached\. Check the address/s);
  const closed = await startTestServer({ behaviour: { cors: false } });
  await connect({ endpoint: `${closed.origin}/v1` });
  await expectTrouble('The server does not allow this page to read from it', /--allowed-origins/);
  await closed.close();
  await connect({ endpoint: server.url });
  await expectTrouble('The server does not accept the key', /api-key/);
  await connect({ apiKey: KEY, endpointModel: 'gpt-5' });
  await expectTrouble('The server does not have this model', new RegExp(`no model gpt-5\\. It has: ${NAME}`));
});

test('it lists the models, and says where what is written goes', async () => {
  await connect({ endpointModel: undefined });
  await expect(page.getByText(`${NAME} is ready`, { exact: true })).toBeVisible();
  await expect(page.getByRole('alert')).toHaveCount(0);
  const { host } = new URL(server.url);
  await expect(page.locator('.privacy')).toHaveText(`Answered by ${host}. What you write is sent there.`);
  expect(await page.evaluate(() => document.querySelector('qwen-chat')!.endpointModels)).toEqual([NAME]);
});

test('it answers, with thoughts and figures', async () => {
  await say("Wie geht's?", /^Mir geht es gut, danke\. Und dir\?/);
  await answers(page)
    .last()
    .getByText(/^Thought/)
    .click();
  await expect(answers(page).last().locator('qwen-thinking')).toContainText('German');
  const figures = await page.evaluate(() => document.querySelector('qwen-chat')!.figures!);
  expect(figures.promptTokens).toBeGreaterThan(5);
  expect(figures.completionTokens).toBeGreaterThan(10);
  expect(figures.decodeTokensPerSecond).toBeGreaterThan(0);
  expect(figures.timeToFirstTokenMs).toBeGreaterThan(0);
});

test('it runs the page’s tools', async () => {
  await thinkingOff(page);
  await page.evaluate(
    (tools) => {
      const run = ({ expression }: Record<string, unknown>) => {
        const [a, b] = String(expression).split('*').map(Number);
        return String(a * b);
      };
      const chat = document.querySelector('qwen-chat')!;
      chat.clear();
      chat.tools = tools.map((tool) => ({ ...tool, run }));
    },
    demoTools.map(({ name, description, parameters }) => ({ name, description, parameters })),
  );
  await say('What is 1234 * 567?', /699678/);
  await expect(page.getByRole('log')).toContainText('Used calculate');
  await page.evaluate(() => {
    document.querySelector('qwen-chat')!.tools = [];
  });
});

test('it sends pictures along', async () => {
  const questions = await readQuestions('fixtures/tiny/questions.jsonl');
  await page.evaluate(() => document.querySelector('qwen-chat')!.clear());
  await choose(page, pictureOf(questions.find(({ key }) => key === 'scene|yellow square 5')!));
  await expect(page.locator('qwen-composer .chip')).toContainText('shapes.png');
  await say('What do you see?', /yellow square/);
});

test('stopping ends the answer there too, and an error stands in the conversation', async () => {
  await page.evaluate(() => document.querySelector('qwen-chat')!.clear());
  const chat = `${server.url}/chat/completions`;
  await page.route(chat, async (route) => {
    const request = { ...route.request().postDataJSON(), ignore_eos: true }; // it must not end by itself
    await route.continue({ postData: JSON.stringify(request) });
  });
  await composer(page).fill('What can you do?');
  await composer(page).press('Enter');
  await expect(answers(page).last().locator('qwen-markdown')).not.toBeEmpty();
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(answers(page).last().getByText('Stopped.')).toBeVisible();
  await page.unroute(chat);
  await say('Thanks', /You are welcome!/); // the server answers one at a time: the other has ended
  await page.evaluate(() => document.querySelector('qwen-chat')!.clear());
  await composer(page).fill('a long story '.repeat(1000));
  await composer(page).press('Enter');
  await expect(page.getByRole('alert').locator('.error-title')).toHaveText(
    'The conversation is longer than the model’s context',
  );
});

test('of several models the reader can choose, and one that is gone is told', async () => {
  // The server has one: another is put into its list.
  await page.route(`${server.url}/models`, async (route) => {
    const response = await route.fetch();
    const { data } = await response.json();
    await route.fulfill({ response, json: { object: 'list', data: [...data, { ...data[0], id: 'gone' }] } });
  });
  await page.evaluate(() => document.querySelector('qwen-chat')!.clear());
  await page.evaluate(() => document.querySelector('qwen-chat')!.load());
  const choice = page.getByRole('combobox', { name: 'Model' });
  await expect(choice).toHaveValue(NAME);
  await expectAccessible(page, OF_PAGES);
  await choice.selectOption('gone');
  await expect(page.getByText('gone is ready', { exact: true })).toBeVisible();
  await composer(page).fill('Hello');
  await composer(page).press('Enter');
  await expect(page.getByRole('alert').locator('.error-title')).toHaveText('The server does not have this model');
  await expect(page.getByRole('alert')).toContainText('This engine holds');
  await choice.selectOption(NAME);
  await expect(choice).toHaveValue(NAME);
  await page.getByRole('alert').getByRole('button', { name: 'Try again' }).click();
  await expect(answers(page).last().locator('qwen-markdown').last()).toHaveText(/Hello! How can I help you\?/);
});

test('without the endpoint nothing is sent there any more', async () => {
  await page.evaluate(() => document.querySelector('qwen-chat')!.clear());
  await connect({ endpoint: undefined });
  await expect(page.getByText('No model yet')).toBeVisible();
  await expect(page.locator('.privacy')).toHaveText('Runs on this device. Nothing you write leaves it.');
});

test('OpenAI’s client in Node streams from it', async () => {
  const client = new OpenAI({ baseURL: server.url, apiKey: KEY });
  const stream = client.chat.completions.stream({
    model: NAME,
    messages: [{ role: 'user', content: 'Hello' }],
    reasoning_effort: 'minimal',
    stream_options: { include_usage: true },
  });
  expect((await stream.finalContent())?.trim()).toBe('Hello! How can I help you?');
  expect((await stream.totalUsage()).completion_tokens).toBeGreaterThan(5);
});

/**
 * Pictures of the built page for the docs: `npm run build && node tools/screenshots.mjs [STATE…]`. Writes
 * docs/screenshots/.
 */
import { mkdirSync } from 'node:fs';
import { argv } from 'node:process';
import { chromium } from 'playwright';
import { BROWSER_REMEDY, findBrowser, launchOptions } from './browser.mjs';
import { serve } from './serve.mjs';
import { pictureOf, readQuestions } from './tiny-model/questions.mjs';

const FOLDER = 'docs/screenshots';
const READY = 'The tiny model is ready';
const TIMEOUT_MS = 120_000;

const found = await findBrowser();
if (found === undefined) throw new Error(BROWSER_REMEDY);
mkdirSync(FOLDER, { recursive: true });
const server = await serve(0);
const options = launchOptions(found);
const browser = await chromium.launch({
  ...options,
  args: [...(options.args ?? []), '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
});

/** @typedef {import('playwright').Page} Page */

/** How each state is reached, and the page that shows it if that is another. @type {Record<string, (page: Page) => Promise<Page | void>>} */
const states = {
  loading: async (page) => {
    await page.getByRole('progressbar').first().waitFor();
  },
  ready: async (page) => {
    await page.getByText(READY).waitFor({ timeout: TIMEOUT_MS });
  },
  answer: async (page) => {
    await page.getByText(READY).waitFor({ timeout: TIMEOUT_MS });
    await ask(page, 'My name is Tara.');
    await ask(page, 'What is 86 - 39?');
    await ask(page, 'What is my name?');
  },
  sees: async (page) => {
    await page.getByText(READY).waitFor({ timeout: TIMEOUT_MS });
    await attach(page, [await shapes()]);
    await ask(page, 'What do you see?');
    await ask(page, 'How many shapes are there?');
  },
  conversations: async (page) => {
    await page.getByText(READY).waitFor({ timeout: TIMEOUT_MS });
    for (const question of ['What is this project?', 'My name is Tara.', 'What is 27 + 48?']) {
      await page.getByRole('button', { name: 'New chat' }).first().click();
      await ask(page, question);
    }
    await openMenu(page);
    await page.getByRole('button', { name: 'Rename, save or delete My name is Tara.' }).click();
  },
  settings: async (page) => {
    await page.getByText(READY).waitFor({ timeout: TIMEOUT_MS });
    await openPanel(page, 'Settings');
  },
  storage: async (page) => {
    await page.getByText(READY).waitFor({ timeout: TIMEOUT_MS });
    await openPanel(page, /^Storage/);
    await page.getByRole('button', { name: 'Check tiny.gguf' }).click();
    await page.getByText('as it was stored').waitFor({ timeout: TIMEOUT_MS });
  },
  tabs: async (page) => {
    await page.getByText(READY).waitFor({ timeout: TIMEOUT_MS });
    const other = await page.context().newPage();
    await other.goto(server.url);
    await other.getByText(READY).waitFor({ timeout: TIMEOUT_MS });
    return other;
  },
  models: async (page) => {
    await page.getByText(READY).waitFor({ timeout: TIMEOUT_MS });
    await openPanel(page, 'Choose a model…');
  },
  error: async (page) => {
    await page.goto(`${server.url}?model=${encodeURIComponent(`${server.url}missing.gguf`)}`);
    await page.getByRole('alert').first().waitFor({ timeout: TIMEOUT_MS });
  },
  attached: async (page) => {
    await openSeeing(page);
    await attach(page, [
      await landscape(page, 'evening.png', 1024, 768),
      await landscape(page, 'valley.png', 640, 960),
    ]);
    await page.getByRole('textbox', { name: 'Message' }).fill('What is the difference between these two?');
    await page.locator('.attachments-note').waitFor({ timeout: TIMEOUT_MS });
  },
  refused: async (page) => {
    await openSeeing(page);
    await attach(page, [
      await landscape(page, 'evening.png', 1024, 768),
      { name: 'report.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF') },
    ]);
    await page.getByRole('alert').waitFor();
  },
  'no-vision': async (page) => {
    await page.goto(`${server.url}?model=${encodeURIComponent(`${server.url}fixtures/models/dense-f32.gguf`)}`);
    await page.locator('.status-line b').waitFor({ timeout: TIMEOUT_MS });
    await page.getByRole('button', { name: /^Attach/ }).press('Enter');
    await page.getByRole('alert').waitFor();
  },
  dropping: async (page) => {
    await openSeeing(page);
    await page.getByRole('log').evaluate((log) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(['…'], 'evening.png', { type: 'image/png' }));
      log.dispatchEvent(new DragEvent('dragover', { dataTransfer, bubbles: true, composed: true, cancelable: true }));
    });
    await page.getByText('Drop pictures or videos').waitFor();
  },
  camera: async (page) => {
    await openSeeing(page);
    // A touch screen would open the telephone's own camera.
    await page.evaluate(() => /** @type {any} */ (document.querySelector('qwen-chat')).camera.open());
    await page.waitForFunction(() => {
      const video = document.querySelector('qwen-chat')?.shadowRoot?.querySelector('video');
      return (video?.currentTime ?? 0) > 0.2;
    });
  },
  picture: async (page) => {
    await askAboutPictures(page);
  },
  large: async (page) => {
    await openSeeing(page);
    await attach(page, [
      await landscape(page, 'evening.png', 1024, 768),
      await landscape(page, 'valley.png', 640, 960),
    ]);
    await page.locator('.attachments-note').waitFor({ timeout: TIMEOUT_MS });
    await page.locator('.chip-open').first().click();
    await page.getByRole('dialog', { name: 'Attachment' }).waitFor();
  },
};

/** On a phone, the left column is behind a button. */
async function openMenu(/** @type {Page} */ page) {
  const menu = page.getByRole('button', { name: 'Menu', exact: true });
  if (await menu.isVisible()) await menu.click();
}

/** @param {Page} page @param {string | RegExp} name */
async function openPanel(page, name) {
  await openMenu(page);
  await page.locator('.sidebar').getByRole('button', { name }).click();
  await page.getByRole('dialog').waitFor();
}

/** Asks, and waits for the whole answer. */
async function ask(/** @type {Page} */ page, /** @type {string} */ text) {
  const answers = page.locator('.message.answer');
  const before = await answers.count();
  await page.getByRole('textbox', { name: 'Message', exact: true }).fill(text);
  await page.keyboard.press('Enter');
  await answers.nth(before).getByRole('button', { name: 'Answer again' }).waitFor({ timeout: TIMEOUT_MS });
}

/** The first picture of the held-out questions that has several shapes. */
async function shapes() {
  const questions = await readQuestions('fixtures/tiny/questions.jsonl');
  const question = questions.find(({ key }) => /^scene(\|[a-z]+ [a-z]+ \d){2,3}$/.test(key));
  if (question === undefined) throw new Error('No question is about several shapes.');
  return pictureOf(question);
}

/** A model of random weights with a vision tower. */
async function openSeeing(/** @type {Page} */ page) {
  const models = `${server.url}fixtures/models`;
  const query = new URLSearchParams({ model: `${models}/dense-f32.gguf`, mmproj: `${models}/mmproj-f16.gguf` });
  await page.goto(`${server.url}?${query}`);
  await page.locator('.status-line b').waitFor({ timeout: TIMEOUT_MS });
}

/** Small pictures: the processor may have to imitate a GPU here. */
async function askAboutPictures(/** @type {Page} */ page) {
  await openSeeing(page);
  await attach(page, [await landscape(page, 'evening.png', 320, 240), await landscape(page, 'valley.png', 200, 300)]);
  await page.locator('.attachments-note').waitFor({ timeout: TIMEOUT_MS });
  await page.getByRole('switch', { name: 'Thinking' }).click();
  await page.getByRole('textbox', { name: 'Message' }).fill('What is the difference between these two?');
  await page.keyboard.press('Enter');
  await page.locator('.answer :is(qwen-markdown .block, .note)').first().waitFor({ timeout: TIMEOUT_MS });
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Answer again' }).waitFor({ timeout: TIMEOUT_MS });
}

/** @param {Page} page @param {{ name: string, mimeType: string, buffer: Buffer }[]} files */
async function attach(page, files) {
  await page.locator('qwen-composer input.files').setInputFiles(files);
  await page.locator('.chip qwen-thumbnail img').first().waitFor({ timeout: TIMEOUT_MS });
}

/**
 * Hills under an evening sky, drawn by the browser.
 *
 * @param {Page} page @param {string} name @param {number} width @param {number} height
 */
async function landscape(page, name, width, height) {
  const url = await page.evaluate(
    ([width, height]) => {
      const canvas = document.createElement('canvas');
      Object.assign(canvas, { width, height });
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
      const sky = context.createLinearGradient(0, 0, 0, height);
      for (const [at, colour] of /** @type {const} */ ([
        [0, '#23395d'],
        [0.45, '#d98f6c'],
        [0.6, '#f6d9a8'],
      ])) {
        sky.addColorStop(at, colour);
      }
      context.fillStyle = sky;
      context.fillRect(0, 0, width, height);
      context.fillStyle = '#fff3d6';
      context.beginPath();
      context.arc(width * 0.68, height * 0.46, Math.min(width, height) * 0.07, 0, 2 * Math.PI);
      context.fill();
      ['#7a5c68', '#4b4a5c', '#2c3744', '#18242c'].forEach((colour, i) => {
        context.fillStyle = colour;
        context.beginPath();
        context.moveTo(0, height);
        for (let x = 0; x <= width; x += 4) {
          const wave = Math.sin((x / width) * (3 + i) * 2 + i * 2.1) + 0.5 * Math.sin((x / width) * (9 + 2 * i) + i);
          context.lineTo(x, height * (0.56 + i * 0.11 - 0.045 * wave));
        }
        context.lineTo(width, height);
        context.fill();
      });
      return canvas.toDataURL('image/png');
    },
    [width, height],
  );
  return { name, mimeType: 'image/png', buffer: Buffer.from(url.split(',')[1], 'base64') };
}

const chosen = argv.slice(2);
for (const state of chosen) if (!(state in states)) throw new Error(`There is no state ${state}.`);

try {
  for (const [device, viewport] of Object.entries({
    desktop: { width: 1280, height: 800 },
    phone: { width: 390, height: 844 },
  })) {
    for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
      for (const [state, reach] of Object.entries(states)) {
        if (chosen.length > 0 && !chosen.includes(state)) continue;
        const context = await browser.newContext({ viewport, colorScheme });
        const page = await context.newPage();
        await page.goto(server.url);
        const shown = (await reach(page)) ?? page;
        await shown.screenshot({ path: `${FOLDER}/${state}-${device}-${colorScheme}.png` });
        await context.close();
      }
    }
  }
} finally {
  await browser.close();
  server.server.close();
}

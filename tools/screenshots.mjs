/**
 * Pictures of the built page for the docs: `npm run build && node tools/screenshots.mjs`. Writes docs/screenshots/.
 */
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright';
import { BROWSER_REMEDY, findBrowser, launchOptions } from './browser.mjs';
import { serve } from './serve.mjs';

const FOLDER = 'docs/screenshots';
const READY = 'The test model is ready';
const TIMEOUT_MS = 120_000;

const found = await findBrowser();
if (found === undefined) throw new Error(BROWSER_REMEDY);
mkdirSync(FOLDER, { recursive: true });
const server = await serve(0);
const browser = await chromium.launch(launchOptions(found));

/** @typedef {import('playwright').Page} Page */

/** @type {Record<string, (page: Page) => Promise<void>>} */
const states = {
  loading: async (page) => {
    await page.getByRole('progressbar').first().waitFor();
  },
  ready: async (page) => {
    await page.getByText(READY).waitFor({ timeout: TIMEOUT_MS });
  },
  answer: async (page) => {
    await page.getByText(READY).waitFor({ timeout: TIMEOUT_MS });
    await page.getByRole('textbox').fill('Hello! What runs here?');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Answer again' }).first().waitFor({ timeout: TIMEOUT_MS });
  },
  models: async (page) => {
    await page.getByText(READY).waitFor({ timeout: TIMEOUT_MS });
    const menu = page.getByRole('button', { name: 'Menu', exact: true });
    if (await menu.isVisible()) await menu.click();
    await page.locator('.sidebar').getByRole('button', { name: 'Choose a model…' }).click();
    await page.getByRole('dialog').waitFor();
  },
  error: async (page) => {
    await page.goto(`${server.url}?model=${encodeURIComponent(`${server.url}missing.gguf`)}`);
    await page.getByRole('alert').first().waitFor({ timeout: TIMEOUT_MS });
  },
};

try {
  for (const [device, viewport] of Object.entries({
    desktop: { width: 1280, height: 800 },
    phone: { width: 390, height: 844 },
  })) {
    for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
      for (const [state, reach] of Object.entries(states)) {
        const page = await browser.newPage({ viewport, colorScheme });
        await page.goto(server.url);
        await reach(page);
        await page.screenshot({ path: `${FOLDER}/${state}-${device}-${colorScheme}.png` });
        await page.close();
      }
    }
  }
} finally {
  await browser.close();
  server.server.close();
}

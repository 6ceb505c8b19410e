/**
 * Draws the page's icons for home screens from demo/icons/icon.svg: `node tools/icons.mjs`. Maskable ones are filled to the
 * edge, with the drawing inside the circle that every mask leaves.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { chromium } from 'playwright';
import { BROWSER_REMEDY, findBrowser, launchOptions } from './browser.mjs';

const FOLDER = 'demo/icons';

const found = await findBrowser();
if (found === undefined) throw new Error(BROWSER_REMEDY);
const svg = await readFile(`${FOLDER}/icon.svg`, 'utf8');
const filled = svg.replace(' rx="8"', '');
const browser = await chromium.launch(launchOptions(found));
try {
  for (const [name, size, source] of /** @type {const} */ ([
    ['icon-192.png', 192, svg],
    ['icon-512.png', 512, svg],
    ['maskable-512.png', 512, filled],
    ['apple-touch-icon.png', 180, filled],
  ])) {
    const page = await browser.newPage({ viewport: { width: size, height: size } });
    await page.setContent(`<style>body { margin: 0 } svg { display: block; width: 100vw }</style>${source}`);
    await writeFile(`${FOLDER}/${name}`, await page.screenshot({ omitBackground: true }));
    await page.close();
  }
} finally {
  await browser.close();
}

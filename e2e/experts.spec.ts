/** A model of experts is chatted with while they still come, and the map shows where they are. */
import { expect, type Page } from 'playwright/test';
import type { EngineStats } from '../src/index.ts';
import { formatBytes } from '../src/ui/format.ts';
import { strings } from '../src/ui/strings.ts';
import { startTestServer, type TestServer } from '../tools/test-server.ts';
import { expectAccessible, OF_PAGES } from './accessible.ts';
import {
  answers,
  chatABit,
  composer,
  databaseBytes,
  expectReady,
  openDemo,
  openPanel,
  statusLine,
  thinkingOff,
} from './demo-page.ts';
import { test } from './policy.ts';
import { manyExperts } from './talkative-model.ts';

const PATH = '/experts.gguf';
const { bytes, layers, experts } = await manyExperts();
const EXPERTS = layers * experts;
/** Of one connection; four run at once. Some seconds for what is shared, and more for the experts. */
const SLOW = { bytesPerSecond: 250_000 };

/** One look of the map, and after it the bytes of the canvas and the page's status line. */
interface Look {
  places: number[];
  wanted: number;
  stored: number;
  network: number;
  drawn: string;
  status: string;
}

declare global {
  var looks: Look[];
}

let server: TestServer;

test.beforeEach(async ({ page }) => {
  server = await startTestServer({ files: { [PATH]: bytes } });
  await page.addInitScript(() => {
    globalThis.looks = [];
    addEventListener('qwen-experts', (event) => {
      const { stats } = (event as CustomEvent).detail;
      const look: Look = {
        places: [...stats.experts],
        wanted: stats.expertHits + stats.expertMisses,
        stored: stats.expertTraffic.storeBytes,
        network: stats.expertTraffic.networkBytes,
        drawn: '',
        status: '',
      };
      globalThis.looks.push(look);
      requestAnimationFrame(() => {
        const canvas = document.querySelector('qwen-expert-map')?.shadowRoot?.querySelector('canvas');
        look.drawn = canvas?.toDataURL() ?? '';
        look.status = document.querySelector('.status-line')?.textContent ?? '';
      });
    });
  });
});

test.afterEach(() => server.close());

const looksOf = (page: Page): Promise<Look[]> => page.evaluate(() => globalThis.looks);
const remote = ({ places }: Look) => places.filter((place) => place === 0).length;
const model = () => ({ model: server.url(PATH) });

const engineStats = (page: Page): Promise<EngineStats> =>
  page.evaluate(async () => {
    const stats = await document.querySelector('qwen-chat')?.engine?.stats();
    if (!stats) throw new Error('The page has no engine.');
    return stats;
  });

/** The statistics panel is open, and shows of experts what `engine.stats()` says. */
async function expectFigures(page: Page): Promise<EngineStats> {
  const { map } = strings;
  const panel = page.getByRole('region', { name: 'Statistics' });
  let stats: EngineStats | undefined;
  await expect(async () => {
    stats = await engineStats(page);
    const { expertHits, expertMisses, expertStallMs, expertTraffic } = stats;
    const figures = [
      [map.hitRate, map.hitRateOf(expertHits, expertHits + expertMisses)],
      [map.stalls, map.stallsOf(expertMisses, expertStallMs)],
      [map.slotBytes, formatBytes(expertTraffic?.slotBytes ?? Number.NaN)],
      [map.storeBytes, formatBytes(expertTraffic?.storeBytes ?? Number.NaN)],
      [map.networkBytes, formatBytes(expertTraffic?.networkBytes ?? Number.NaN)],
    ].map((row) => row.join(''));
    await expect(panel.getByLabel(map.figures).locator('div')).toHaveText(figures, { timeout: 1000 });
    const ofPage = [
      `From the network${formatBytes(stats.bytesFromNetwork)}`,
      `From this device${formatBytes(stats.bytesFromStore)}`,
    ];
    for (const row of ofPage) await expect(panel.locator('demo-statistics')).toContainText(row, { timeout: 1000 });
  }).toPass({ timeout: 30_000 });
  return stats!;
}

async function expectAllResident(page: Page): Promise<void> {
  await expect
    .poll(async () => (await looksOf(page)).at(-1)?.places.filter((place) => place >= 2).length, { timeout: 120_000 })
    .toBe(EXPERTS);
}

test('a chat begins before the download ends, and the map shows the experts come and work', async ({ page }) => {
  server.behave(PATH, SLOW);
  await openDemo(page, model());
  await expectReady(page);
  const atReady = server.count().bodyBytes;
  expect(atReady, 'bytes sent when the model was ready').toBeLessThan(0.7 * bytes.length);
  const arriving = page.getByRole('region', { name: 'Experts on their way' });
  await expect(arriving).toContainText(/You can chat already\..* still on the way/);
  await expect(arriving).toContainText(/[\d.]+ [KM]?B of 14\.2 MB/);
  await expect(statusLine(page)).toContainText(/\d+ % resident/);

  await expectAccessible(page);

  await thinkingOff(page);
  await composer(page).fill('Which of you speaks?');
  await composer(page).press('Enter');
  await expect(page.locator('.bubble')).toHaveText('Which of you speaks?');
  await expect
    .poll(
      async () => (await looksOf(page)).some((look) => look.wanted > 0 && remote(look) > 0),
      'works with some missing',
    )
    .toBe(true);
  expect(server.count().bodyBytes, 'bytes sent while it works').toBeLessThan(bytes.length);

  const words = answers(page).locator('qwen-markdown');
  await expect(words, 'the first words').not.toBeEmpty();
  server.behave(PATH);
  await expect.poll(async () => (await looksOf(page)).some(({ places }) => places.includes(3)), 'in use').toBe(true);
  await page.getByRole('button', { name: 'Stop' }).click();
  const looks = await looksOf(page);
  const missing = looks.map(remote);
  expect(missing, 'experts only come').toEqual([...missing].sort((a, b) => b - a));
  expect(new Set(looks.map(({ places }) => places.join(''))).size, 'different maps').toBeGreaterThan(3);
  expect(new Set(looks.map(({ drawn }) => drawn)).size, 'different pictures of it').toBeGreaterThan(3);

  await expectAllResident(page);
  await expect(arriving, 'nothing is on its way any more').toBeHidden();
  await expect(statusLine(page)).not.toContainText('resident');
  const all = (await looksOf(page)).filter(({ status }) => status !== '');
  const shares = all.map(({ status }) => Number(/(\d+) % resident/.exec(status)?.[1] ?? 100));
  expect(shares, 'the share in the status line rises').toEqual([...shares].sort((a, b) => a - b));
  expect(new Set(shares).size, 'different shares').toBeGreaterThan(3);

  await statusLine(page).click();
  await expect(page.getByRole('region', { name: 'Statistics' })).not.toContainText('on the way');
  await page.getByText('As a table').click();
  const stats = await expectFigures(page);
  expect(stats.expertHits).toBeGreaterThan(0);
  expect(stats.expertMisses).toBeGreaterThan(0);
  expect(stats.expertStallMs).toBeGreaterThan(0);
  expect(stats.expertTraffic?.resident).toBe(EXPERTS);
  expect(stats.expertTraffic?.slotBytes).toBeGreaterThan(0);
  expect(stats.expertTraffic?.networkBytes).toBeGreaterThan(0);
  expect(stats.bytesFromNetwork).toBeGreaterThan(0.9 * bytes.length);
  await expectAccessible(page);
});

test('cells are told by pointer and by keys', async ({ page }) => {
  await openDemo(page, model());
  await expectReady(page);
  await statusLine(page).click();
  const map = page.getByRole('application', { name: 'Where the model’s experts are' });
  await expectAllResident(page);
  await map.focus();
  const spoken = page.locator('qwen-expert-map [role=status]');
  await expect(spoken).toContainText('Layer 0, expert 0: in GPU memory');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('End');
  await expect(spoken).toContainText('Layer 1, expert 71: in GPU memory, F16, about 49.2 KB, not seen in use yet');
  await page.keyboard.press('Home');
  await expect(spoken).toHaveText('Layer 1, what all tokens share: in GPU memory');
  const { width, height } = (await map.boundingBox())!;
  await map.hover({ position: { x: width - 3, y: height - 3 } });
  await expect(page.locator('qwen-expert-map .readout')).toContainText('Layer 3, expert 71: in GPU memory');
});

test('the next visit has the experts from this device, and deleting the model gives their room back', async ({
  page,
}) => {
  const used = () => databaseBytes(page);
  await openDemo(page, model());
  await expectReady(page);
  await expect.poll(used, 'room taken').toBeGreaterThan(0.9 * bytes.length);
  await expect(async () => {
    await page.keyboard.press('Escape'); // Each opening looks anew.
    const dialog = await openPanel(page, /^Storage/);
    await expect(dialog.locator('li .figure')).toHaveText(formatBytes(bytes.length), { timeout: 1000 });
  }, 'all is stored').toPass();
  await page.keyboard.press('Escape');

  server.resetCounts();
  await page.reload();
  await expectReady(page);
  await statusLine(page).click();
  await expectAllResident(page);
  await chatABit(page, 'Are you all here?');
  expect(server.count().bodyBytes, 'bytes of the second visit').toBeLessThanOrEqual(1);
  expect((await looksOf(page)).at(-1)).toMatchObject({ network: 0 });
  const stats = await expectFigures(page);
  expect(stats.expertHits).toBeGreaterThan(0);
  expect(stats.bytesFromNetwork).toBeLessThanOrEqual(1);
  expect(stats.bytesFromStore, 'bytes from this device').toBeGreaterThan(0.9 * bytes.length);
  await statusLine(page).click();

  const dialog = await openPanel(page, /^Storage/);
  await dialog.getByRole('button', { name: 'Delete experts.gguf', exact: true }).click();
  await dialog.getByRole('button', { name: 'Really delete? Delete experts.gguf' }).click();
  await expect(dialog).toContainText('Nothing is stored yet');
  await expect.poll(used, 'room left over').toBeLessThan(bytes.length / 4);
});

for (const [scheme, viewport] of [
  ['light', { width: 1280, height: 800 }],
  ['dark', { width: 390, height: 780 }],
] as const) {
  test.describe(`${scheme}, ${viewport.width} pixels`, () => {
    test.use({ viewport, colorScheme: scheme });

    test('60 layers of 512 experts have their place, and the engine is not asked more than four times a second', async ({
      page,
    }) => {
      await page.goto('/e2e/ui.html');
      await page.waitForFunction(() => customElements.get('qwen-expert-map') !== undefined);
      const asked = await page.evaluate(async () => {
        const times: number[] = [];
        const experts = new Uint8Array(60 * 512).map((_, i) => (i * 7 + (i >> 9)) % 3);
        const engine = {
          info: { experts: 512, plan: { expertBytes: 190e9, streamedBytes: 27e9 } },
          refreshStats: async () => {
            times.push(performance.now());
            const expertHits = 600 * times.length;
            const map = experts.map((place, i) => (place === 2 && (i + times.length) % 17 === 0 ? 3 : place));
            const expertTraffic = { resident: 10_240, slotBytes: expertHits * 7e6, storeBytes: 4e9, networkBytes: 2e9 };
            // By the clock, not by the question: the rate is the same however slow the machine.
            const bytesFromNetwork = performance.now() * 150e3;
            return {
              experts: map,
              expertSlots: 10_240,
              expertHits,
              expertMisses: 40,
              expertStallMs: 5_200,
              expertTraffic,
              bytesFromNetwork,
            };
          },
        };
        const map = Object.assign(document.createElement('qwen-expert-map'), { engine });
        const main = document.querySelector('main')!;
        main.style.cssText = 'padding: 16px; max-width: 60rem';
        main.replaceChildren(map);
        await new Promise<void>((resolve) => {
          let looks = 0;
          map.addEventListener('qwen-experts', () => void (++looks === 8 && resolve()));
        });
        return times;
      });
      const gaps = asked.slice(1).map((time, i) => time - asked[i]);
      expect(Math.min(...gaps), 'milliseconds from one question to the next').toBeGreaterThan(240);
      const canvas = page.getByRole('application');
      const box = (await canvas.boundingBox())!;
      expect(box.height).toBe(240);
      expect(box.width, 'a pixel for a cell').toBe(14 + 512);
      await expect(page.locator('qwen-expert-map')).toContainText(/217 GB · \d+ MB\/s · .* left/);
      await expectAccessible(page, OF_PAGES);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflow, 'pixels of the page beyond the window').toBeLessThanOrEqual(0);
    });
  });
}

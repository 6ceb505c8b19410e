/** A model comes over the network once: seen coming, kept, resumed, and noticed when it has changed. */
import { readFile } from 'node:fs/promises';
import { expect, type Page } from 'playwright/test';
import { startTestServer, type TestServer } from '../tools/test-server.ts';
import { chatABit, expectReady, openDemo, openPanel, progressOf, statusLine, watchProgress } from './demo-page.ts';
import { test } from './policy.ts';
import { talkativeModel } from './talkative-model.ts';

const PATH = '/dense-f32.gguf';
const { bytes: fileBytes, dataStart } = await talkativeModel();
const otherBytes = await readFile('fixtures/models/dense-k.gguf');

/** Of one connection; four run at once. The download then takes some seconds. */
const SLOW = { bytesPerSecond: 400_000 };

/** On a port of its own, so that the page is of another origin. */
let server: TestServer;

test.beforeEach(async ({ page }) => {
  server = await startTestServer({ files: { [PATH]: fileBytes } });
  await watchProgress(page);
});

test.afterEach(() => server.close());

/** What four connections may have of chunks that are not whole, and so not kept. */
const UNFINISHED_BYTES = 4 * 128 * 1024;

/** The server sends no more, and the page has what was sent: how far it lags behind depends on the machine. */
async function standstill(page: Page): Promise<void> {
  server.behave(PATH, { bytesPerSecond: 100 });
  const lag = async () => server.count().bodyBytes - (await progressOf(page)).at(-1)!.networkBytes;
  await expect.poll(lag, 'bytes sent that the page has not got').toBeLessThan(UNFINISHED_BYTES);
}

const model = () => ({ model: server.url(PATH) });

/** Tensor bytes that a request asked for. */
function tensorBytesOf({ range, bodyBytes }: TestServer['requests'][number]): number {
  const start = Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
  return Math.max(0, start + bodyBytes - Math.max(start, dataStart));
}

test('a model at an address is seen coming, answers, and the next visit needs no network', async ({ page }) => {
  server.behave(PATH, SLOW);
  await openDemo(page, model());

  // On its way: a bar that moves, bytes, rate and time left.
  const bar = page.getByRole('progressbar', { name: 'Loading the model' });
  await expect(bar).toBeVisible();
  const percent = async () => Number(await bar.getAttribute('aria-valuenow', { timeout: 30_000 }));
  await expect.poll(percent).toBeGreaterThan(0);
  const early = await percent();
  await expect(page.locator('.loading-figures')).toHaveText(/^[\d.]+ [kM]B of 4\.\d MB · .*\/s · .* left$/);
  await expect.poll(percent, 'the bar moves').toBeGreaterThan(early);
  await expect(statusLine(page)).toContainText(/Loading .* · \d+ %/);
  await expectReady(page);

  const seen = await progressOf(page);
  const weights = seen.filter(({ phase }) => phase === 'weights');
  expect(new Set(weights.map(({ percent }) => percent)).size, 'different figures on the bar').toBeGreaterThan(4);
  const loaded = weights.map(({ loadedBytes }) => loadedBytes);
  expect(loaded, 'progress only grows').toEqual([...loaded].sort((a, b) => a - b));
  expect(
    weights.some(({ shown }) => shown.includes('Downloading')),
    'it says that it downloads',
  ).toBe(true);
  const last = seen.at(-1)!;
  expect(last).toMatchObject({ phase: 'ready', loadedBytes: last.totalBytes, storeBytes: 0 });
  expect(last.networkBytes).toBeGreaterThan(0.9 * fileBytes.length);

  // The header came by itself, in a few ranges.
  const gets = server.requests.filter(({ method }) => method === 'GET');
  const firstTensors = gets.findIndex(({ range }) => Number(/\d+/.exec(range ?? '0')) >= dataStart);
  expect(
    gets.every(({ range }) => range !== undefined),
    'every request names a range',
  ).toBe(true);
  expect(firstTensors, 'requests before the first for tensors').toBeLessThanOrEqual(4);
  const headerBytes = gets.slice(0, firstTensors).reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
  expect(headerBytes, 'bytes before the first tensors').toBeLessThan(fileBytes.length / 4);
  expect(server.count().bodyBytes, 'nothing came twice').toBeLessThan(1.05 * fileBytes.length);

  await chatABit(page, 'What is a hash table?');
  await chatABit(page, 'And a tree?');
  await expect(statusLine(page)).toContainText(/\d tok\/s/);
  await statusLine(page).click();
  const figures = page.getByRole('region', { name: 'Statistics' });
  const figure = (name: string) => figures.locator('div', { has: page.getByText(name, { exact: true }) }).locator('dd');
  await expect(figure('Answering')).toHaveText(/^[\d.]+ tok\/s$/);
  await expect(figure('First token after')).toHaveText(/\d/);
  await expect(figure('Prompt')).toHaveText(/^[1-9]\d* tokens$/);
  await expect(figure('Answer')).toHaveText(/^[1-9]\d* tokens$/);
  await expect(figure('From the network')).toHaveText(/^4\.\d MB$/);

  server.resetCounts();
  await page.reload();
  await expectReady(page);
  const again = await progressOf(page);
  expect(again.at(-1)).toMatchObject({ phase: 'ready', networkBytes: 0 });
  expect(again.at(-1)!.storeBytes).toBeGreaterThan(0.9 * fileBytes.length);
  expect(again.map(({ shown }) => shown).join('\n'), 'it says where the model came from').toContain(
    'From this device, no download',
  );
  expect(
    server.requests.map(tensorBytesOf).reduce((a, b) => a + b, 0),
    'tensor bytes sent by the server',
  ).toBe(0);
  expect(server.count().bodyBytes, 'bytes sent by the server').toBeLessThanOrEqual(1);
  await chatABit(page, 'Once more?');
  expect(server.count().bodyBytes).toBeLessThanOrEqual(1);
});

for (const how of ['reload', 'close'] as const) {
  test(`a download that a ${how} of the page interrupts goes on where it was`, async ({ page, context }) => {
    server.behave(PATH, SLOW);
    await openDemo(page, model());
    await server.until(() => server.count().bodyBytes > fileBytes.length / 2);
    await standstill(page);
    let next = page;
    if (how === 'reload') await page.reload();
    else {
      await page.close();
      next = await context.newPage();
      await watchProgress(next);
    }
    const before = server.count().bodyBytes;
    expect(before).toBeLessThan(0.8 * fileBytes.length);
    server.behave(PATH);
    if (how === 'close') await openDemo(next, model());
    await expectReady(next);
    // Chunks that were on their way are fetched again: four connections with at most a chunk of 128 KiB each.
    expect(server.count().bodyBytes, 'bytes sent by the server').toBeLessThan(1.2 * fileBytes.length);
    const last = (await progressOf(next)).at(-1)!;
    expect(last.storeBytes, 'bytes that were kept').toBeGreaterThan(0.25 * fileBytes.length);
    await chatABit(next, 'Are you whole?');
  });
}

test('loading can be stopped by the button, and goes on from there', async ({ page }) => {
  server.behave(PATH, SLOW);
  await openDemo(page, model());
  await server.until(() => server.count().bodyBytes > fileBytes.length / 3);
  await standstill(page);
  await page.getByRole('button', { name: 'Stop loading' }).click();
  await expect(page.getByText('Loading stopped')).toBeVisible();
  await expect(statusLine(page)).toContainText('is not loaded');
  const stopped = server.count().bodyBytes;
  await expect
    .poll(() => server.requests.every(({ status, aborted, bodyBytes }) => aborted || status !== 206 || bodyBytes > 0))
    .toBe(true);
  server.behave(PATH);
  await page.getByRole('button', { name: 'Continue loading' }).click();
  await expectReady(page);
  expect(stopped).toBeLessThan(0.75 * fileBytes.length);
  expect(server.count().bodyBytes).toBeLessThan(1.2 * fileBytes.length);
});

test('a file that changed between two visits is noticed and fetched anew', async ({ page }) => {
  await openDemo(page, model());
  await expectReady(page);
  const warnings: string[] = [];
  page.on('console', (message) => void (message.type() === 'warning' && warnings.push(message.text())));
  server.setFile(PATH, otherBytes);
  server.resetCounts();
  await page.reload();
  await expectReady(page);
  const last = (await progressOf(page)).at(-1)!;
  expect(last.storeBytes).toBe(0);
  expect(last.totalBytes).toBeLessThan(otherBytes.length);
  expect(server.count().bodyBytes).toBeGreaterThanOrEqual(otherBytes.length);
  expect(warnings.join('\n')).toContain('has changed on the server');
  const dialog = await openPanel(page, /^Storage/);
  await expect(dialog.locator('li')).toHaveCount(1);
  await expect(dialog.locator('li')).toContainText('1.9 MB');
});

test('a file that changes while it comes is not mixed up: the error says so, the next load has the new one', async ({
  page,
}) => {
  server.behave(PATH, { bytesPerSecond: 300_000 });
  await openDemo(page, model());
  await server.until(() => server.count().bodyBytes > fileBytes.length / 4);
  const changed = Buffer.from(fileBytes);
  changed[changed.length - 1] ^= 1;
  server.setFile(PATH, changed);
  server.behave(PATH);
  const alert = page.getByRole('alert');
  await expect(alert).toContainText('The file has changed');
  await expect(alert).toContainText('Load it again');
  await alert.getByRole('button', { name: 'Try again' }).click();
  await expectReady(page);
  expect((await progressOf(page)).at(-1)).toMatchObject({ storeBytes: 0 });
});

test('a server without ranges works, with a warning', async ({ page }) => {
  const warnings: string[] = [];
  page.on('console', (message) => void (message.type() === 'warning' && warnings.push(message.text())));
  server.behave(PATH, { ignoreRange: true });
  await openDemo(page, model());
  await expectReady(page);
  expect(warnings.join('\n')).toContain('does not support range requests');
  expect(server.count().bodyBytes).toBeLessThan(1.1 * fileBytes.length);
  server.resetCounts();
  await page.reload();
  await expectReady(page);
  expect((await progressOf(page)).at(-1)).toMatchObject({ networkBytes: 0 });
  await chatABit(page, 'Hello?');
});

test('a server works that hides its headers from other origins, refuses HEAD, is busy at times and drops connections', async ({
  page,
}) => {
  const drop = { afterBytes: 300_000, times: 4 };
  server.behave(PATH, { cors: 'hidden', head: false, fail: { status: 503, times: 2 }, drop });
  await openDemo(page, model());
  await expectReady(page);
  // A dropped connection may take with it all that it sent: a reset discards what the browser has not read yet.
  const lost = drop.times * drop.afterBytes;
  expect(server.count().bodyBytes, 'bytes sent').toBeLessThan(1.02 * fileBytes.length + lost);
  server.resetCounts();
  await page.reload();
  await expectReady(page);
  expect((await progressOf(page)).at(-1)).toMatchObject({ networkBytes: 0 });
  expect(server.count().bodyBytes, 'bytes sent for the second visit').toBeLessThan(0.1 * fileBytes.length);
});

test('store “none” keeps nothing', async ({ page }) => {
  await openDemo(page, { ...model(), store: 'none' });
  await expectReady(page);
  expect(await page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name))).not.toContain(
    'qwen-webgpu-chunks',
  );
  server.resetCounts();
  await page.reload();
  await expectReady(page);
  expect(server.count().bodyBytes).toBeGreaterThanOrEqual(fileBytes.length);
});

test('another model can be loaded in the middle of a conversation, which goes on with it', async ({ page }) => {
  server.setFile('/talker-2.gguf', fileBytes);
  await openDemo(page, model());
  await expectReady(page);
  await chatABit(page, 'First?');
  const dialog = await openPanel(page, 'Choose a model…');
  await dialog.getByLabel('Address of a GGUF file', { exact: true }).fill(server.url('/talker-2.gguf'));
  await page.keyboard.press('Enter');
  await expect(dialog).toBeHidden();
  await expectReady(page);
  expect(new URL(page.url()).searchParams.get('model')).toBe(server.url('/talker-2.gguf'));
  await expect.poll(() => page.workers().length, 'workers that are left').toBe(1);
  await chatABit(page, 'Second?');
  await expect(page.locator('.bubble')).toHaveText(['First?', 'Second?']);
});

/** Pictures and videos on the demo page, read by a model: a random one, so what it says of them does not matter here. */
import { readFile } from 'node:fs/promises';
import { expect, type Page } from 'playwright/test';
import { startTestServer, type TestServer } from '../tools/test-server.ts';
import { askABit, chips, choose, clip, drop, expectAttached, mediaFigure, picture, thumbnails } from './attach.ts';
import { composer, expectReady, openDemo, openPanel, statusLine, thinkingOff } from './demo-page.ts';
import { test } from './policy.ts';
import { talkativeModel } from './talkative-model.ts';

const { bytes } = await talkativeModel();
const MODEL = '/talker.gguf';
/** The same model at an address that no tower goes with. */
const BLIND = '/blind.gguf';
const TOWER = '/mmproj.gguf';
/** 256 × 256 pixels: 8 × 8 tokens, and the two marks around them. */
const PICTURE = 'fixtures/vision/image-0.png';
const PICTURE_TOKENS = 66;

let server: TestServer;

test.beforeEach(async () => {
  const tower = new Uint8Array(await readFile('fixtures/models/mmproj-f16.gguf'));
  server = await startTestServer({ files: { [MODEL]: bytes, [BLIND]: bytes, [TOWER]: tower } });
});

test.afterEach(() => server.close());

async function openSeeing(page: Page): Promise<void> {
  await openDemo(page, { model: server.url(MODEL), mmproj: server.url(TOWER) });
  await expectReady(page);
  await thinkingOff(page);
}

const visionRuns = (page: Page) =>
  page.evaluate(async () => (await document.querySelector('qwen-chat')!.engine!.stats()).visionRuns);

test('a picture is counted before it is sent, read once, and remembered for the second question', async ({ page }) => {
  await openSeeing(page);
  await choose(page, PICTURE);
  await expectAttached(page, 'image-0.png');
  await expect(chips(page)).toContainText(`256 × 256 · ${PICTURE_TOKENS} tokens`);
  await expect(page.locator('.attachments-note')).toContainText(`It takes ${PICTURE_TOKENS} of the context’s`);
  expect(await visionRuns(page), 'counting does not run the tower').toBe(0);
  await statusLine(page).click();
  await askABit(page, 'What is this?');
  await expect(thumbnails(page)).toHaveCount(1);
  await expect(mediaFigure(page)).toHaveText(`${PICTURE_TOKENS} tokens, read anew`);
  expect(await visionRuns(page)).toBe(1);
  await askABit(page, 'And what colour has it?');
  await expect(mediaFigure(page)).toHaveText(`${PICTURE_TOKENS} tokens, from memory`);
  expect(await visionRuns(page)).toBe(1);
  await page.getByRole('button', { name: 'Answer again' }).last().click();
  await expect(page.getByRole('button', { name: 'Stop' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('button', { name: 'Answer again' }).last()).toBeVisible();
  expect(await visionRuns(page)).toBe(1);
});

test('a generated WebM is counted, accepted and answered', async ({ page }) => {
  await openSeeing(page);
  await choose(page, await clip(page));
  await expectAttached(page, 'clip.webm');
  await expect(chips(page)).toContainText(/128 × 96 · 0:0\d · \d+ frames · \d+ tokens/);
  await statusLine(page).click();
  await askABit(page, 'What moves?');
  await expect(mediaFigure(page)).toHaveText(/^\d+ tokens, read anew$/);
  await expect(page.getByRole('alert')).toHaveCount(0);
  const runs = await visionRuns(page);
  expect(runs).toBeGreaterThan(0);
  await askABit(page, 'Where to?');
  await expect(mediaFigure(page)).toHaveText(/^\d+ tokens, from memory$/);
  expect(await visionRuns(page)).toBe(runs);
});

test('a picture of an impossible shape: said before sending, told in the conversation, and the chat goes on', async ({
  page,
}) => {
  await openSeeing(page);
  await choose(page, await picture(page, { name: 'thin.png', width: 2001, height: 10 }));
  await expect(chips(page).locator('.chip-facts')).toContainText('2001 × 10');
  await composer(page).fill('What is this?');
  await composer(page).press('Enter');
  await expect(page.getByRole('alert')).toContainText('2001 × 10');
  await page.getByRole('alert').getByRole('button', { name: 'Edit message' }).click();
  await expect(composer(page)).toHaveValue('What is this?');
  await expect(chips(page)).toHaveCount(1);
  await page.keyboard.press('Escape');
  await askABit(page, 'Never mind.');
  await expect(page.locator('.bubble')).toHaveText(['What is this?', 'Never mind.']);
});

test('a model and its tower are chosen or dropped together; pictures dropped on the chat are attached', async ({
  page,
}) => {
  await openDemo(page, { model: server.url('/none.gguf') });
  const dialog = await openPanel(page, 'Choose a model…');
  await dialog
    .getByLabel('Choose files…')
    .setInputFiles(['fixtures/models/mmproj-f16.gguf', 'fixtures/models/dense-f32.gguf']);
  await expectReady(page);
  const sees = () => page.evaluate(() => document.querySelector('qwen-chat')?.engine?.info.vision);
  expect(await sees()).toBe(true);
  const image = { name: 'image-0.png', mimeType: 'image/png', buffer: await readFile(PICTURE) };
  await drop(page.getByRole('log'), [image]);
  await expectAttached(page, 'image-0.png');
  // Beside the chat they are attached too.
  await drop(page.locator('.sidebar'), [{ ...image, name: 'again.png' }]);
  await expectAttached(page, 'image-0.png', 'again.png');
  const model = { name: 'talker.gguf', mimeType: '', buffer: Buffer.from(bytes) };
  await drop(page.getByRole('log'), [model]);
  await expect.poll(sees).toBe(false);
  await expect(page.getByRole('alert')).toContainText('cannot see');
  await expect(page.getByRole('button', { name: 'Send', exact: true })).toBeDisabled();
});

test('the page remembers which tower goes with a model', async ({ page }) => {
  await openDemo(page, { model: server.url('/none.gguf') });
  const dialog = await openPanel(page, 'Choose a model…');
  await dialog.getByLabel('Address of a GGUF file', { exact: true }).fill(server.url(MODEL));
  await dialog.getByLabel('Vision tower (mmproj), if it is to see pictures', { exact: true }).fill(server.url(TOWER));
  await page.keyboard.press('Enter');
  await expectReady(page);
  expect(new URL(page.url()).searchParams.get('mmproj')).toBe(server.url(TOWER));
  await openDemo(page, { model: server.url(BLIND) });
  await expectReady(page);
  await expect(page.getByRole('button', { name: /^Attach pictures or videos/ })).toHaveAttribute(
    'aria-disabled',
    'true',
  );
  await page.locator('.sidebar').getByRole('button', { name: 'talker' }).click();
  await expect.poll(() => new URL(page.url()).searchParams.get('model')).toBe(server.url(MODEL));
  await expectReady(page);
  await expect(page.getByRole('button', { name: 'Attach pictures or videos' })).toHaveAttribute(
    'aria-disabled',
    'false',
  );
});

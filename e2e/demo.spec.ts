/** What one does on the demo page with a model that answers: files, stopping, asking again, copying, keys, storage. */
import { expect, type Page } from 'playwright/test';
import { startTestServer, type TestServer } from '../tools/test-server.ts';
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
import { talkativeModel } from './talkative-model.ts';

const { bytes } = await talkativeModel();
const PATH = '/talker.gguf';

let server: TestServer;

test.beforeEach(async () => {
  server = await startTestServer({ files: { [PATH]: bytes } });
});

test.afterEach(() => server.close());

async function openTalker(page: Page): Promise<void> {
  await openDemo(page, { model: server.url(PATH) });
  await expectReady(page);
}

test('all shards of a model of experts are loaded by the file chooser at once, in whatever order', async ({ page }) => {
  // As in browsers that give no handles.
  await page.addInitScript(() => Reflect.deleteProperty(window, 'showOpenFilePicker'));
  await openDemo(page, { model: server.url('/none.gguf') });
  const dialog = await openPanel(page, 'Choose a model…');
  const chooser = page.waitForEvent('filechooser');
  await dialog.getByText('Choose files…').click();
  await (await chooser).setFiles([3, 1, 4, 2].map((n) => `fixtures/models/moe-q4_k_m-0000${n}-of-00004.gguf`));
  await expect(dialog).toBeHidden();
  await expectReady(page);
  await statusLine(page).click();
  const figures = page.getByRole('region', { name: 'Statistics' });
  await expect(figures).toContainText('qwen35moe');
  await expect(figures).toContainText('10 experts a layer, 3 used at a time');
  await statusLine(page).click();
  await thinkingOff(page);
  await composer(page).fill('Which of you speaks?');
  await composer(page).press('Enter');
  await expect(answers(page).locator('qwen-markdown, .note').first()).not.toBeEmpty();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('button', { name: 'Answer again' })).toBeVisible();
  await expect(page.getByRole('alert')).toHaveCount(0);
  // Files are on the device already: nothing of them is stored again.
  await expect(await openPanel(page, /^Storage/)).toContainText('Nothing is stored yet');
});

test('one shard alone among the files is told as such', async ({ page }) => {
  await openDemo(page, { model: server.url('/none.gguf') });
  const dialog = await openPanel(page, 'Choose a model…');
  await dialog.getByLabel('Choose files…').setInputFiles('fixtures/models/moe-q4_k_m-00001-of-00004.gguf');
  await expect(page.getByRole('alert')).toContainText('A part of the model is missing');
  await expect(page.getByRole('alert')).toContainText('moe-q4_k_m-00002-of-00004.gguf is missing');
});

test('an answer is stopped, asked for again, and copied', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await openTalker(page);
  await chatABit(page, 'Tell me everything.');
  const words = answers(page).locator('qwen-markdown');
  await expect(answers(page).getByText('Stopped.')).toBeVisible();
  const first = await words.textContent();
  await page.getByRole('button', { name: 'Copy as Markdown' }).click();
  await expect(page.getByRole('button', { name: 'Copied' })).toBeVisible();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  expect(copied).not.toBe('');
  // It is the answer's own text, before Markdown made anything of it.
  expect(copied).toBe(
    await page.evaluate(() => String(document.querySelector('qwen-chat')!.messages.at(-1)!.content).trim()),
  );

  await page.getByRole('button', { name: 'Answer again' }).click();
  await expect(page.getByRole('button', { name: 'Stop' })).toBeVisible();
  await expect(words).not.toBeEmpty();
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(page.getByRole('button', { name: 'Answer again' })).toBeVisible();
  await expect(page.locator('.bubble')).toHaveText(['Tell me everything.']);
  await expect(answers(page)).toHaveCount(1);
  expect(await words.textContent(), 'another answer').not.toBe(first);
});

test('thinking is shown apart, and can be stopped too', async ({ page }) => {
  await openTalker(page);
  await composer(page).fill('Think.');
  await composer(page).press('Enter');
  await expect(answers(page).getByText(/^Thinking…/)).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByText(/^Thought for .*, then was stopped/)).toBeVisible();
  await page.getByText(/^Thought for/).click();
  const thoughts = await page.evaluate(() => document.querySelector('qwen-chat')!.messages.at(-1)!.reasoning_content);
  expect(thoughts).not.toBe('');
  // The next question is answered as usual.
  await chatABit(page, 'And say.');
});

test('a conversation can be led by keyboard alone', async ({ page }) => {
  await openTalker(page);
  // A loaded model leaves the focus where one writes.
  await expect(composer(page)).toBeFocused();
  for (const name of [/^Attach pictures/, /^Take a picture/]) {
    await page.keyboard.press('Tab');
    await expect(page.getByRole('button', { name })).toBeFocused();
  }
  await page.keyboard.press('Tab');
  await expect(page.getByRole('switch', { name: 'Thinking' })).toBeFocused();
  await page.keyboard.press('Space');
  await expect(page.getByRole('switch', { name: 'Thinking' })).toHaveAttribute('aria-checked', 'false');
  for (let i = 0; i < 3; i++) await page.keyboard.press('Shift+Tab');
  await page.keyboard.type('Who are you?');
  await page.keyboard.press('Enter');
  await expect(answers(page).locator('qwen-markdown')).not.toBeEmpty();
  await page.keyboard.press('Escape');
  await expect(answers(page).getByText('Stopped.')).toBeVisible();
  await expect(composer(page)).toBeFocused();
  await page.keyboard.press('ArrowUp');
  await expect(composer(page)).toHaveValue('Who are you?');
  await page.keyboard.press('End');
  await page.keyboard.type(' Really?');
  await page.keyboard.press('Enter');
  await expect(page.locator('.bubble')).toHaveText(['Who are you? Really?']);
  await expect(answers(page).locator('qwen-markdown')).not.toBeEmpty();
  await page.keyboard.press('Escape');
  await expect(answers(page).getByText('Stopped.')).toBeVisible();
  await page.keyboard.press('Shift+Tab');
  await expect(page.getByRole('button', { name: 'Remove this message' }).last()).toBeFocused();

  // The panels: opened, closed, and the focus back where it was.
  const storage = page.locator('.sidebar').getByRole('button', { name: /^Storage/ });
  await storage.focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toBeHidden();
  await expect(storage).toBeFocused();
});

test('deleting a stored model gives its room back, and the next visit fetches it anew', async ({ page }) => {
  const used = () => databaseBytes(page);
  await openTalker(page);
  await expect.poll(used, 'room taken').toBeGreaterThan(bytes.length);
  const dialog = await openPanel(page, /^Storage/);
  await expect(dialog.locator('li', { hasText: 'talker.gguf' })).toContainText('4.7 MB');
  await dialog.getByRole('button', { name: 'Delete talker.gguf', exact: true }).click();
  await dialog.getByRole('button', { name: 'Really delete? Delete talker.gguf' }).click();
  await expect(dialog).toContainText('Nothing is stored yet');
  await expect.poll(used, 'room left over').toBeLessThan(bytes.length / 4);
  await page.keyboard.press('Escape');
  // What is loaded needs the store no more.
  await chatABit(page, 'Still there?');
  server.resetCounts();
  await page.reload();
  await expectReady(page);
  expect(server.count().bodyBytes).toBeGreaterThanOrEqual(bytes.length);
});

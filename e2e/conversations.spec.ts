/** What the page keeps of conversations: the list, reloads, files, other tabs, and a full device. */
import { readFile } from 'node:fs/promises';
import { expect, type Locator, type Page } from 'playwright/test';
import { expectAccessible } from './accessible.ts';
import { picture, thumbnails } from './attach.ts';
import { answers, composer, openPanel } from './demo-page.ts';
import { test } from './policy.ts';
import { askScripted, giveScripts, openScripted } from './scripted-page.ts';

const list = (page: Page): Locator => page.getByRole('navigation', { name: 'Conversations' });
const entry = (page: Page, title: string): Locator => list(page).getByRole('button', { name: title, exact: true });
const titles = (page: Page): Locator => list(page).locator('li > .side-button');

test('conversations are listed, found, renamed, deleted and brought back', async ({ page }) => {
  await openScripted(page, { say: 'A pair of **shoes**.' }, { say: 'A green *umbrella*.' }, { say: 'Three.' });
  await askScripted(page, 'What do I need for walking?\nTell me soon.');
  await expect(titles(page)).toHaveText(['What do I need for walking?']);
  await page.getByRole('button', { name: 'New chat' }).click();
  await expect(answers(page)).toHaveCount(0);
  await askScripted(page, 'And for rain?');
  await expect(titles(page)).toHaveText(['And for rain?', 'What do I need for walking?']);
  await expect(entry(page, 'And for rain?')).toHaveAttribute('aria-current', 'true');

  // By what was answered, not only by its title.
  const search = page.getByRole('searchbox', { name: 'Search conversations' });
  await search.fill('SHOES');
  await expect(titles(page)).toHaveText(['What do I need for walking?']);
  await search.fill('nothing of the kind');
  await expect(page.getByText('Nothing found.')).toBeVisible();
  await search.press('Escape');
  await expect(titles(page)).toHaveCount(2);

  // All by keyboard.
  await entry(page, 'What do I need for walking?').focus();
  await page.keyboard.press('Enter');
  await expect(answers(page)).toHaveText(/A pair of shoes/);
  await page.getByRole('button', { name: 'Rename, save or delete What do I need for walking?' }).press('Enter');
  await expectAccessible(page);
  await list(page).getByRole('button', { name: 'Rename', exact: true }).press('Enter');
  await expect(page.getByRole('textbox', { name: 'New title' })).toBeFocused();
  await page.keyboard.type('Walking');
  await page.keyboard.press('Enter');
  await expect(entry(page, 'Walking')).toBeFocused();
  await askScripted(page, 'How many?');
  await expect(titles(page), 'the given title stays, and the row moves up').toHaveText(['Walking', 'And for rain?']);

  await page.getByRole('button', { name: 'Rename, save or delete Walking' }).click();
  await list(page).getByRole('button', { name: 'Delete', exact: true }).click();
  await expect(titles(page)).toHaveText(['And for rain?']);
  await expect(answers(page)).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Undo' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(entry(page, 'Walking')).toBeVisible();
  await expect(answers(page)).toHaveCount(2);
});

test('a reload brings back thoughts, tools and pictures, and of an answer under way what had come', async ({
  page,
}) => {
  // The page's own: it gives them to the element at every render, so others would not last.
  await page.addInitScript(() => localStorage.setItem('qwen-webgpu-demo', '{"tools":true}'));
  await openScripted(
    page,
    { sees: true, think: 'I compute.', call: { calculate: '{"expression":"2+2"}' } },
    { say: 'It is 4.' },
    { say: 'Once upon a time there was', hang: true },
  );
  await page
    .locator('qwen-composer input.files')
    .setInputFiles(await picture(page, { name: 'sum.png', width: 64, height: 64 }));
  await expect(page.locator('.chip qwen-thumbnail img')).toBeVisible();
  await composer(page).fill('What is this?');
  await composer(page).press('Enter');
  await expect(page.getByText('It is 4.', { exact: true }).first()).toBeVisible();
  await composer(page).fill('Tell a story.');
  await composer(page).press('Enter');
  await expect(answers(page).last()).toContainText('there was');
  // The answer never ends: it is saved while it grows.
  await expect
    .poll(() =>
      page.evaluate(
        () =>
          new Promise<string>((resolve) => {
            const open = indexedDB.open('qwen-webgpu-conversations');
            open.onsuccess = () => {
              const all = open.result.transaction('conversations').objectStore('conversations').getAll();
              all.onsuccess = () => resolve(JSON.stringify(all.result));
            };
          }),
      ),
    )
    .toContain('there was');

  await page.reload();
  await expect(page.locator('.bubble')).toHaveText(['What is this?', 'Tell a story.']);
  await expect(answers(page).last()).toContainText('Once upon a time there was');
  await expect(page.getByText('Used calculate')).toBeVisible();
  await expect(page.getByText(/^Thought/)).toBeVisible();
  const shown = thumbnails(page).locator('img');
  await expect(shown).toBeVisible();
  expect(await shown.evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(64);
  // It goes on from there.
  await giveScripts(page, { say: 'The end.', sees: true });
  await askScripted(page, 'And then?');
  await expect(titles(page)).toHaveCount(1);
});

test('conversations go to files and come back, one or all, and a wrong file is refused in words', async ({ page }) => {
  await openScripted(page, { think: 'Hm.', say: '| a |\n|---|\n| 1 |' });
  await askScripted(page, 'A table?');
  const download = async (press: () => Promise<void>) => {
    const event = page.waitForEvent('download');
    await press();
    return event;
  };
  await page.getByRole('button', { name: 'Rename, save or delete A table?' }).click();
  const markdown = await download(() => list(page).getByRole('button', { name: 'Save as Markdown' }).click());
  expect(markdown.suggestedFilename()).toMatch(/^A table.*\.md$/);
  const text = await readFile(await markdown.path(), 'utf8');
  expect(text).toContain('| a |\n|---|\n| 1 |');

  let panel = await openPanel(page, 'Export and import…');
  await expectAccessible(page);
  const json = await download(() => panel.getByRole('button', { name: 'Save all as JSON' }).click());
  expect(json.suggestedFilename()).toMatch(/^A table.*\.json$/);
  const files = [await json.path(), await markdown.path()];
  const [first, second] = await Promise.all(files.map((path) => readFile(path)));
  await panel.locator('input[type=file]').setInputFiles([
    { name: 'all.json', mimeType: 'application/json', buffer: first },
    { name: 'one.md', mimeType: 'text/markdown', buffer: second },
  ]);
  await expect(panel.getByRole('status')).toHaveText('2 conversations are here now.');
  await panel
    .locator('input[type=file]')
    .setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from('{') });
  await expect(panel.getByRole('alert')).toContainText('x.json is damaged');
  await page.keyboard.press('Escape');
  await expect(titles(page)).toHaveText(['A table?', 'A table?', 'A table?']);
  for (let i = 0; i < 3; i++) {
    await titles(page).nth(i).click();
    await expect(answers(page).getByRole('cell', { name: '1' })).toBeVisible();
    await expect(page.getByText(/^Thought/)).toBeVisible();
  }
  panel = await openPanel(page, 'Export and import…');
  await expect(panel.getByRole('status')).toBeEmpty();
});

test('tabs see each other’s conversations, and never write over one another’s', async ({ page, context }) => {
  await openScripted(page, { say: 'Yes.' });
  await askScripted(page, 'Are you there?');
  const other = await context.newPage();
  await openScripted(other, { say: 'No.' });
  await entry(other, 'Are you there?').click();
  await expect(answers(other)).toHaveText(/Yes\./);
  await askScripted(page, 'Still?');
  await askScripted(other, 'Gone?');
  for (const each of [page, other]) {
    await expect(titles(each)).toHaveText(['Are you there? (from another tab)', 'Are you there?']);
  }
  await entry(page, 'Are you there? (from another tab)').click();
  await expect(page.locator('.bubble')).toHaveText(['Are you there?', 'Gone?']);
  await entry(page, 'Are you there?').click();
  await expect(page.locator('.bubble')).toHaveText(['Are you there?', 'Still?']);
});

test('a full device is told, and what was said stays on the page', async ({ page }) => {
  await openScripted(page, { say: 'Here.' });
  await page.evaluate(() => {
    const { put } = IDBObjectStore.prototype;
    Object.assign(globalThis, {
      makeRoom: () => {
        IDBObjectStore.prototype.put = put;
      },
    });
    IDBObjectStore.prototype.put = () => {
      throw new DOMException('No room', 'QuotaExceededError');
    };
  });
  await composer(page).fill('Where?');
  await composer(page).press('Enter');
  await expect(page.getByRole('alert')).toContainText('no room left on this device to keep this conversation');
  await expect(answers(page)).toHaveText(/Here\./);
  await expect(titles(page)).toHaveCount(0);
  await expectAccessible(page);
  // As soon as there is room again all of it is kept.
  await page.evaluate('makeRoom()');
  await askScripted(page, 'And now?');
  await expect(page.getByRole('alert')).toHaveCount(0);
  await expect(titles(page)).toHaveText(['Where?']);
});

test.describe('on a phone', () => {
  test.use({ viewport: { width: 390, height: 844 } });

  test('conversations are in the drawer, and a new chat is at hand', async ({ page }) => {
    await openScripted(page, { say: 'Hello.' });
    await askScripted(page, 'Hi');
    await page.getByRole('button', { name: 'New chat' }).click();
    await expect(answers(page)).toHaveCount(0);
    await page.getByRole('button', { name: 'Menu', exact: true }).click();
    const drawer = page.getByRole('dialog');
    await expectAccessible(page);
    await drawer.getByRole('button', { name: 'Hi', exact: true }).click();
    await expect(drawer).toBeHidden();
    await expect(answers(page)).toHaveText(/Hello\./);
  });
});

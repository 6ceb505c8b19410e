/** The page's choice of where models are kept, and the files that were picked at an earlier visit. */
import { utimes, writeFile } from 'node:fs/promises';
import { expect, type Page } from 'playwright/test';
import { startTestServer, type TestServer } from '../tools/test-server.ts';
import { expectAccessible } from './accessible.ts';
import { chatABit, expectReady, openDemo, openPanel, statusLine } from './demo-page.ts';
import { test } from './policy.ts';
import { talkativeModel } from './talkative-model.ts';

const PATH = '/talker.gguf';
const { bytes } = await talkativeModel();

let server: TestServer;

test.beforeEach(async () => {
  server = await startTestServer({ files: { [PATH]: bytes } });
});

test.afterEach(() => server.close());

/** Bytes of the origin's own files. */
const filesBytes = (page: Page) =>
  page.evaluate(async () => {
    const sum = async (folder: FileSystemDirectoryHandle): Promise<number> => {
      let total = 0;
      for await (const entry of folder.values()) {
        const own = entry as FileSystemFileHandle | FileSystemDirectoryHandle;
        total += own.kind === 'file' ? (await own.getFile()).size : await sum(own);
      }
      return total;
    };
    return sum(await navigator.storage.getDirectory());
  });

test('models are kept in the private file system where that was chosen', async ({ page }) => {
  await openDemo(page, { model: server.url('/none.gguf') });
  let dialog = await openPanel(page, /^Storage/);
  await expect(dialog.getByRole('radio', { name: 'IndexedDB' })).toBeChecked();
  await dialog.getByRole('radio', { name: 'Private file system' }).check();
  await page.keyboard.press('Escape');
  expect(await filesBytes(page)).toBe(0);

  await openDemo(page, { model: server.url(PATH) });
  await expectReady(page);
  await expect.poll(() => filesBytes(page), 'bytes in files').toBeGreaterThan(0.9 * bytes.length);

  server.resetCounts();
  await page.reload();
  await expectReady(page);
  expect(server.count().bodyBytes, 'bytes of the second visit').toBeLessThanOrEqual(1);
  await chatABit(page, 'Are you still here?');

  dialog = await openPanel(page, /^Storage/);
  await expect(dialog.getByRole('radio', { name: 'Private file system' })).toBeChecked();
  await expect(dialog.locator('li')).toContainText('Private file system');

  // What is stored stays where it is, and is found there.
  await dialog.getByRole('radio', { name: 'IndexedDB' }).check();
  await expectAccessible(page);
  server.resetCounts();
  await page.reload();
  await expectReady(page);
  expect(server.count().bodyBytes, 'bytes after the choice was changed').toBeLessThanOrEqual(1);

  dialog = await openPanel(page, /^Storage/);
  await dialog.getByRole('button', { name: 'Delete talker.gguf', exact: true }).click();
  await dialog.getByRole('button', { name: 'Really delete? Delete talker.gguf' }).click();
  await expect(dialog).toContainText('Nothing is stored yet');
  await expect.poll(() => filesBytes(page), 'bytes left in files').toBe(0);
});

test('picked files are offered at the next visit, read in place and forgotten, and trouble with them is told', async ({
  page,
}, testInfo) => {
  await page.addInitScript(() => {
    // The browser's own dialog cannot be shown here; a file of the origin's own is a true handle.
    const showOpenFilePicker = async () => {
      const root = await navigator.storage.getDirectory();
      return [await root.getFileHandle('picked.gguf')];
    };
    Object.assign(window, { showOpenFilePicker });
  });
  await openDemo(page, { model: server.url('/none.gguf') });
  await page.evaluate(async (url) => {
    const root = await navigator.storage.getDirectory();
    const handle = await root.getFileHandle('picked.gguf', { create: true });
    const { body } = await fetch(url);
    await body?.pipeTo(await handle.createWritable());
  }, server.url(PATH));

  let dialog = await openPanel(page, 'Choose a model…');
  await expect(dialog).not.toContainText('Files picked earlier');
  await dialog.getByText('Choose files…').click();
  await expect(dialog).toBeHidden();
  await expectReady(page);

  await page.reload();
  dialog = await openPanel(page, 'Choose a model…');
  await expect(dialog).toContainText('Files picked earlier');
  await expect(dialog).toContainText('picked.gguf');
  await expectAccessible(page);
  server.resetCounts();
  await dialog.getByRole('button', { name: 'Load picked.gguf' }).click();
  await expect(dialog).toBeHidden();
  await expectReady(page);
  expect(server.count().bodyBytes).toBe(0);
  expect(await filesBytes(page), 'nothing was copied').toBe(bytes.length);
  const storage = await openPanel(page, /^Storage/);
  await expect(storage.getByRole('radio', { name: 'IndexedDB' })).toBeVisible();
  await expect(storage).not.toContainText('picked.gguf');
  await page.keyboard.press('Escape');

  // The reader refuses, and thinks better of it; but the file was moved away since.
  await page.evaluate(async () => {
    const refusals = ['denied'];
    Object.assign(FileSystemHandle.prototype, { requestPermission: async () => refusals.pop() ?? 'granted' });
    await (await navigator.storage.getDirectory()).removeEntry('picked.gguf');
  });
  dialog = await openPanel(page, 'Choose a model…');
  await dialog.getByRole('button', { name: 'Load picked.gguf' }).click();
  await expect(dialog.getByRole('alert')).toContainText('was not allowed to read picked.gguf. Press Load once more');
  await dialog.getByRole('button', { name: 'Load picked.gguf' }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole('alert')).toContainText('was moved, renamed or deleted since it was picked');
  await expect(statusLine(page)).toContainText('could not be loaded');

  // Picked by the ordinary input while it was still being written.
  const growing = testInfo.outputPath('growing.gguf');
  await writeFile(growing, bytes.subarray(0, bytes.length / 2));
  dialog = await openPanel(page, 'Choose a model…');
  await dialog.locator('input[type=file]').setInputFiles(growing);
  await expect(page.getByRole('alert')).toContainText('The model file is incomplete');
  await writeFile(growing, bytes);
  const later = new Date(Date.now() + 10_000); // The browser compares whole seconds.
  await utimes(growing, later, later);
  await page.getByRole('alert').getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('alert')).toContainText(
    'it was changed, moved or deleted since it was picked. Pick it again.',
  );

  dialog = await openPanel(page, 'Choose a model…');
  await dialog.getByRole('button', { name: 'Forget picked.gguf' }).click();
  await expect(dialog).not.toContainText('Files picked earlier');
  await page.reload();
  dialog = await openPanel(page, 'Choose a model…');
  await expect(dialog.getByText('Choose files…')).toBeVisible();
  await expect(dialog).not.toContainText('Files picked earlier');
});

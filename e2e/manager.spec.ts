/** The page's manager of stored models: checking what is stored, repairing it, pausing and resuming a download. */
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

/** Changes a byte of one of the stored chunks. */
function damageAChunk(page: Page): Promise<void> {
  return page.evaluate(
    () =>
      new Promise<void>((resolve) => {
        const open = indexedDB.open('qwen-webgpu-chunks');
        open.onsuccess = () => {
          const chunks = open.result.transaction('chunks', 'readwrite').objectStore('chunks');
          const cursor = chunks.openCursor(null, 'prev');
          cursor.onsuccess = async () => {
            const { primaryKey, value } = cursor.result!;
            const damaged = new Uint8Array(await value.bytes.arrayBuffer());
            damaged[3] ^= 4;
            const put = open.result.transaction('chunks', 'readwrite').objectStore('chunks');
            put.put({ ...value, bytes: new Blob([damaged]) }, primaryKey).onsuccess = () => resolve();
          };
        };
      }),
  );
}

test('what was damaged on the disk is found and fetched again, while the model answers', async ({ page, context }) => {
  await openDemo(page, { model: server.url(PATH) });
  await expectReady(page);
  let dialog = await openPanel(page, /^Storage/);
  await dialog.getByRole('button', { name: 'Check talker.gguf' }).click();
  await expect(dialog.getByText('Checked: all of it is as it was stored.')).toBeVisible();
  await expectAccessible(page);

  await damageAChunk(page);
  server.resetCounts();
  await dialog.getByRole('button', { name: 'Check talker.gguf' }).click();
  await expect(dialog.getByText('Some of it was damaged. That was fetched again')).toBeVisible();
  expect(server.count(PATH).bodyBytes, 'a chunk, not all').toBeLessThan(bytes.length / 2);
  await dialog.getByRole('button', { name: 'Check talker.gguf' }).click();
  await expect(dialog.getByText('Checked: all of it is as it was stored.')).toBeVisible();
  await page.keyboard.press('Escape');
  await chatABit(page, 'Are you well?');

  // Without a network it is said what is missing now.
  await damageAChunk(page);
  await context.setOffline(true);
  dialog = await openPanel(page, /^Storage/);
  await dialog.getByRole('button', { name: 'Check talker.gguf' }).click();
  await expect(dialog.getByRole('alert')).toContainText('were damaged');
  await expect(dialog.locator('li')).toContainText(/ of /);
  await expect(dialog.getByRole('button', { name: 'Resume the download of talker.gguf' })).toBeVisible();
});

test('a download is paused and resumed, and nothing of it comes twice', async ({ page }) => {
  server.behave(PATH, { bytesPerSecond: bytes.length / 8 });
  await openDemo(page, { model: server.url(PATH) });
  await expect(statusLine(page)).toContainText(/[1-9]\d? %/);
  await page.getByRole('button', { name: 'Stop loading' }).click();
  await expect(page.getByText('Loading stopped')).toBeVisible();
  const dialog = await openPanel(page, /^Storage/);
  const row = dialog.locator('li');
  await dialog.getByRole('button', { name: 'Resume the download of talker.gguf' }).click();
  const bar = dialog.getByRole('progressbar', { name: 'Downloading talker.gguf' });
  await expect.poll(() => bar.evaluate((each: HTMLProgressElement) => each.value)).toBeGreaterThan(0.2);
  await expectAccessible(page);
  // It goes on while nobody looks.
  await page.keyboard.press('Escape');
  await openPanel(page, /^Storage/);
  await dialog.getByRole('button', { name: 'Pause the download of talker.gguf' }).click();
  await expect(row).toContainText(/ of /);
  const asked = server.count(PATH).requests;
  await page.reload();
  await page.getByRole('button', { name: 'Stop loading' }).click();
  await openPanel(page, /^Storage/);
  server.behave(PATH);
  await dialog.getByRole('button', { name: 'Resume the download of talker.gguf' }).click();
  await expect(dialog.getByText('All of it is here now.')).toBeVisible();
  expect(server.count(PATH).requests).toBeGreaterThan(asked);
  await dialog.getByRole('button', { name: 'Check talker.gguf' }).click();
  await expect(dialog.getByText('Checked: all of it is as it was stored.')).toBeVisible();
  // A paused request may have brought a part of a chunk.
  expect(server.count(PATH).bodyBytes).toBeLessThan(1.7 * bytes.length);
});

test('files of the private file system are checked while they are in use', async ({ page }) => {
  await openDemo(page, { model: server.url(PATH), store: 'opfs' });
  await expectReady(page);
  const dialog = await openPanel(page, /^Storage/);
  await dialog.getByRole('button', { name: 'Check talker.gguf' }).click();
  await expect(dialog.getByText('Checked: all of it is as it was stored.')).toBeVisible();
});

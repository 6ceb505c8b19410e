/** The stores and picked files in the built library, with a real model in a real worker. */
import { expect, type Page, test } from 'playwright/test';
import type * as Library from '../src/index.ts';

declare global {
  var library: typeof Library;
}

const MODEL = '/fixtures/models/dense-k.gguf';

test.beforeEach(async ({ page }) => {
  await page.goto('/e2e/library.html');
  await page.waitForFunction(() => globalThis.library !== undefined);
});

/** Loads a model, asks it for a few tokens and lets it go. */
function answer(page: Page, options: { model?: string; store?: Library.StoreKind; picked?: string }) {
  return page.evaluate(async ({ model, store, picked }) => {
    const remembered = picked === undefined ? undefined : await globalThis.library.rememberedFiles();
    const source = remembered?.find(({ name }) => name === picked)?.handles ?? model;
    if (source === undefined) throw new Error('there is nothing to load');
    const engine = await globalThis.library.Engine.load({ model: source, store, contextLength: 64 });
    const { choices } = await engine.completions.create({
      prompt: [5, 6, 7],
      max_tokens: 3,
      temperature: 0,
      ignore_eos: true,
      return_token_ids: true,
    });
    const { bytesFromNetwork, bytesFromStore } = engine.stats();
    await engine.dispose();
    return { ids: choices[0].token_ids, bytesFromNetwork, bytesFromStore };
  }, options);
}

test('a model that was stored in OPFS is read from there, and gives the same answer', async ({ page }) => {
  const first = await answer(page, { model: MODEL, store: 'opfs' });
  expect(first.bytesFromNetwork).toBeGreaterThan(0);
  const again = await answer(page, { model: MODEL, store: 'opfs' });
  expect(again).toMatchObject({ ids: first.ids, bytesFromNetwork: 0 });
  const stored = await page.evaluate(() => globalThis.library.listStored('opfs'));
  expect(stored).toHaveLength(1);
  expect(stored[0].storedBytes).toBe(stored[0].size);
  expect(await page.evaluate(() => globalThis.library.listStored('indexeddb'))).toEqual([]);
  await page.evaluate((url) => globalThis.library.deleteStored(url, 'opfs'), stored[0].url);
  expect(await page.evaluate(() => globalThis.library.listStored('opfs'))).toEqual([]);
});

test('a picked file is read in place, also at the next visit, and nothing is stored', async ({ page }) => {
  const name = await page.evaluate(async (model) => {
    // A file of the origin's own stands in for a picked one.
    const root = await navigator.storage.getDirectory();
    const handle = await root.getFileHandle('picked.gguf', { create: true });
    const writable = await handle.createWritable();
    const { body } = await fetch(model);
    await body?.pipeTo(writable);
    return globalThis.library.rememberFiles(handle);
  }, MODEL);
  await page.reload();
  await page.waitForFunction(() => globalThis.library !== undefined);
  const picked = await answer(page, { picked: name });
  expect(picked).toMatchObject({ bytesFromNetwork: 0 });
  expect(picked.bytesFromStore).toBeGreaterThan(0);
  expect(picked.ids).toEqual((await answer(page, { model: MODEL, store: 'none' })).ids);
  expect(await page.evaluate(() => globalThis.library.listStored())).toEqual([]);
});

test('two tabs that download the same file store it once, and it is whole', async ({ page, context }) => {
  const other = await context.newPage();
  await other.goto('/e2e/library.html');
  await other.waitForFunction(() => globalThis.library !== undefined);
  const download = (each: Page, store: Library.StoreKind) =>
    each.evaluate(
      async ([model, store]) => {
        const seen: number[] = [];
        try {
          await globalThis.library.downloadModel(model, {
            store: store as Library.StoreKind,
            onProgress: ({ doneBytes, totalBytes }) => seen.push(doneBytes / totalBytes),
          });
          return seen.at(-1);
        } catch (error) {
          return (error as Library.QwenError).code;
        }
      },
      [MODEL, store] as const,
    );
  const stored = () =>
    page.evaluate(async () => {
      const files = await globalThis.library.listStored();
      const chunks = await new Promise<number>((resolve) => {
        const open = indexedDB.open('qwen-webgpu-chunks');
        open.onsuccess = () => {
          const count = open.result.transaction('chunks').objectStore('chunks').count();
          count.onsuccess = () => resolve(count.result);
        };
      });
      for (const { url, store } of files) await globalThis.library.verifyStored(url, { store });
      return {
        files: files.map(({ store, size, storedBytes }) => ({ store, missing: size - storedBytes })),
        size: files[0].size,
        chunks,
      };
    });

  expect(await Promise.all([download(page, 'indexeddb'), download(other, 'indexeddb')])).toEqual([1, 1]);
  const { files, size, chunks } = await stored();
  expect(files).toEqual([{ store: 'indexeddb', missing: 0 }]);
  expect(chunks, 'chunks of 64 KiB').toBe(Math.ceil(size / 65_536));

  // OPFS is one tab's at a time: the other one is told so, or comes after it.
  const ends = await Promise.all([download(page, 'opfs'), download(other, 'opfs')]);
  expect(ends).toContain(1);
  for (const end of ends) expect([1, 'store-unavailable']).toContain(end);
  expect((await stored()).files).toEqual(
    expect.arrayContaining([
      { store: 'indexeddb', missing: 0 },
      { store: 'opfs', missing: 0 },
    ]),
  );
});

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

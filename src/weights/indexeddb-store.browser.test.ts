import { afterEach, beforeEach, expect, test } from 'vitest';
import { deleteStored, listStored } from './index.ts';
import { IndexedDbStore } from './indexeddb-store.ts';

const url = 'https://models.test/m.gguf?x=1';
const version = { url, size: 600 * 1024 * 1024 + 5, etag: '"1"' };
const MB = 1024 * 1024;

let store: IndexedDbStore;

beforeEach(() => {
  store = new IndexedDbStore();
});

afterEach(async () => {
  store.close();
  for (const file of await listStored()) await deleteStored(file.url);
});

const chunk = (index: number, length = 8 * MB) => new Uint8Array(length).fill(index + 1);

test('chunks survive a reload, are listed, and read back by parts', async () => {
  const file = await store.open(version);
  expect(file.chunkBytes).toBe(8 * MB);
  await Promise.all([0, 1, 4, 5].map((index) => file.put(index, chunk(index))));
  await file.put(75, chunk(75, 5)); // The last one, 5 bytes long.
  store.close();

  store = new IndexedDbStore();
  const again = await store.find(url);
  expect([...again!.present].sort((a, b) => a - b)).toEqual([0, 1, 4, 5, 75]);
  expect(again!.version).toMatchObject(version);
  expect(await again!.read(4, 4 * MB, 4 * MB + 3)).toEqual(new Uint8Array([5, 5, 5]));
  expect(await again!.read(2, 0, 1)).toBeUndefined();
  expect(await listStored()).toMatchObject([{ ...version, storedBytes: 32 * MB + 5 }]);
});

test('another version of a file replaces the stored one, other files stay', async () => {
  await (await store.open(version)).put(0, chunk(0));
  await (await store.open({ ...version, url: `${url}2` })).put(0, chunk(0));
  const changed = await store.open({ ...version, etag: '"2"' });
  expect([...changed.present]).toEqual([]);
  const stored = await listStored();
  expect(stored.map(({ url, storedBytes }) => [url, storedBytes])).toEqual([
    [url, 0],
    [`${url}2`, 8 * MB],
  ]);
});

test('a chunk of the wrong size counts as absent', async () => {
  const file = await store.open(version);
  await file.put(3, chunk(3, 100));
  expect(await file.read(3, 0, 10)).toBeUndefined();
  expect([...file.present]).toEqual([]);
});

test('a database that was deleted under it is made again', async () => {
  const file = await store.open(version);
  await file.put(0, chunk(0));
  await new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase('qwen-webgpu-chunks');
    request.onsuccess = resolve;
    request.onerror = reject;
  });
  expect(await file.read(0, 0, 1)).toBeUndefined();
  await file.put(0, chunk(0));
  expect(await file.read(0, 0, 1)).toEqual(new Uint8Array([1]));
});

/** What every store does, in the browser that has them. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cdp } from 'vitest/browser';
import { keepErrorClasses } from '../api/wire.ts';
import { deleteStored, listStored, provideStorageWorker, verifyStored } from './index.ts';
import { IndexedDbStore } from './indexeddb-store.ts';
import { STORAGE_WORKER } from './opfs-files.ts';
import { OpfsStore } from './opfs-store.ts';
import type { ChunkStore } from './store.ts';

const url = 'https://models.test/m.gguf?x=1';
const version = { url, size: 600 * 1024 * 1024 + 5, etag: '"1"' };
const MB = 1024 * 1024;

keepErrorClasses();
provideStorageWorker(
  () =>
    new Worker(new URL('../../workers/engine-worker.ts', import.meta.url), { type: 'module', name: STORAGE_WORKER }),
);

const chunk = (index: number, length = 8 * MB) => new Uint8Array(length).fill(index + 1);

describe.each([
  ['indexeddb', () => new IndexedDbStore()],
  ['opfs', () => new OpfsStore()],
] as const)('%s', (kind, create) => {
  let store: ChunkStore;

  beforeEach(() => {
    store = create();
  });

  afterEach(async () => {
    store.close();
    for (const file of await listStored(kind)) await deleteStored(file.url, kind);
  });

  test('chunks survive a reload, are listed, and read back by parts', async () => {
    const file = await store.open(version);
    expect(file.chunkBytes).toBe(8 * MB);
    await Promise.all([5, 0, 4, 1].map((index) => file.put(index, chunk(index))));
    await file.put(75, chunk(75, 5)); // The last one, 5 bytes long.
    store.close();

    store = create();
    const again = await store.find(url);
    expect([...again!.present].sort((a, b) => a - b)).toEqual([0, 1, 4, 5, 75]);
    expect(again!.version).toMatchObject(version);
    expect(again!.version).not.toHaveProperty('chunks');
    for (const index of [0, 1, 4, 5]) {
      expect(await again!.read(index, 4 * MB, 4 * MB + 3)).toEqual(new Uint8Array(3).fill(index + 1));
      expect(await again!.read(index, 8 * MB - 1, 8 * MB)).toEqual(new Uint8Array([index + 1]));
    }
    expect(await again!.read(75, 1, 5)).toEqual(new Uint8Array(4).fill(76));
    expect(await again!.read(2, 0, 1)).toBeUndefined();
    expect(await store.list()).toEqual([
      { ...version, store: kind, storedBytes: 32 * MB + 5, lastUsed: expect.any(Number) },
    ]);
  });

  test('another version of a file replaces the stored one, other files stay', async () => {
    await (await store.open(version)).put(0, chunk(0));
    await (await store.open({ ...version, url: `${url}2` })).put(0, chunk(0));
    const changed = await store.open({ ...version, etag: '"2"' });
    expect([...changed.present]).toEqual([]);
    const stored = await store.list();
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

  test('the size of chunks can be asked for, and stays that of the first time', async () => {
    const file = await store.open(version, 2 * MB);
    expect(file.chunkBytes).toBe(2 * MB);
    store.close();
    store = create();
    expect((await store.open(version)).chunkBytes).toBe(2 * MB);
  });

  test('what is deleted while it is in use is gone, and can be stored again', async () => {
    const file = await store.open(version);
    await file.put(0, chunk(0));
    await deleteStored(url, kind);
    expect(await listStored(kind)).toEqual([]);
    expect(await file.read(0, 0, 1)).toBeUndefined();
    await file.put(0, chunk(0));
    expect(await file.read(0, 0, 1)).toEqual(new Uint8Array([1]));
  });

  test('what was damaged is found, dropped, and comes again, while the file is in use', async () => {
    let file = await store.open(version);
    for (const index of [0, 1, 2]) await file.put(index, chunk(index));
    await file.put(75, chunk(75, 5));
    store.close();
    store = create();
    file = (await store.find(url))!;
    const seen: number[] = [];
    await verifyStored(url, { store: kind, onProgress: ({ doneBytes }) => seen.push(doneBytes) });
    expect(seen.at(-1)).toBe(24 * MB + 5);

    // Nobody writes to a file of OPFS that is open, but for the one who has it open.
    store.close();
    await damage[kind](1);
    store = create();
    file = (await store.find(url))!;
    await expect(verifyStored(url, { store: kind })).rejects.toMatchObject({ code: 'store-corrupt', file: url });
    await verifyStored(url, { store: kind });
    expect(await listStored(kind)).toMatchObject([{ storedBytes: 16 * MB + 5 }]);
    // Whoever has the file open hears of it.
    await expect.poll(() => file.read(1, 0, 2)).toBeUndefined();
    await file.put(1, chunk(1));
    await file.put(3, chunk(3));
    await store.list();
    await verifyStored(url, { store: kind });
    expect(await listStored(kind)).toMatchObject([{ storedBytes: 32 * MB + 5 }]);
    expect(await file.read(1, 8 * MB - 1, 8 * MB)).toEqual(new Uint8Array([2]));
    expect(await file.read(3, 0, 1)).toEqual(new Uint8Array([4]));

    // After it was closed the place is found again too.
    store.close();
    await damage[kind](3);
    await expect(verifyStored(url, { store: kind })).rejects.toMatchObject({ code: 'store-corrupt' });
    store = create();
    const again = await store.find(url);
    expect([...again!.present].sort((a, b) => a - b)).toEqual([0, 1, 2, 75]);
    await again!.put(4, chunk(4));
    expect(await again!.read(4, 0, 1)).toEqual(new Uint8Array([5]));
    expect(await again!.read(2, 0, 1)).toEqual(new Uint8Array([3]));
  });

  test('looking through what is stored can be stopped', async () => {
    const file = await store.open(version);
    await file.put(0, chunk(0));
    const stop = new AbortController();
    stop.abort();
    await expect(verifyStored(url, { store: kind, signal: stop.signal })).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('storing a chunk twice does no harm', async () => {
    const file = await store.open(version);
    await Promise.all([file.put(2, chunk(2)), file.put(2, chunk(2)), file.put(3, chunk(3))]);
    expect(await file.read(2, 8 * MB - 2, 8 * MB)).toEqual(new Uint8Array([3, 3]));
    expect(await file.read(3, 0, 2)).toEqual(new Uint8Array([4, 4]));
    expect(await store.list()).toMatchObject([{ storedBytes: 16 * MB }]);
  });
});

/** Changes a byte of the chunk that was stored as this one. */
const damage = {
  indexeddb: async (index: number) => {
    const db = await new Promise<IDBDatabase>((resolve) => {
      const request = indexedDB.open('qwen-webgpu-chunks');
      request.onsuccess = () => resolve(request.result);
    });
    await new Promise((resolve) => {
      const chunks = db.transaction('chunks', 'readwrite').objectStore('chunks');
      const keys = chunks.getAllKeys();
      keys.onsuccess = () => {
        const key = keys.result.find((each) => (each as unknown[])[2] === index) as IDBValidKey;
        const get = chunks.get(key);
        get.onsuccess = () => {
          const bytes = chunk(index);
          bytes[7] ^= 1;
          chunks.put({ ...get.result, bytes: new Blob([bytes]) }, key);
        };
      };
      chunks.transaction.oncomplete = resolve;
    });
    db.close();
  },
  opfs: async (index: number) => {
    const manifests = await new Promise<{ name: string; chunks: Uint32Array }[]>((resolve) => {
      const request = indexedDB.open('qwen-webgpu-opfs');
      request.onsuccess = () => {
        const all = request.result.transaction('files').objectStore('files').getAll();
        all.onsuccess = () => resolve(all.result);
        request.result.close();
      };
    });
    const [{ name, chunks }] = manifests;
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('qwen-webgpu');
    const handle = await folder.getFileHandle(name);
    const open = () => handle.createWritable({ keepExistingData: true });
    // The store that had it open may still close it.
    await expect
      .poll(() =>
        open()
          .then((writable) => writable.abort())
          .then(
            () => true,
            () => false,
          ),
      )
      .toBe(true);
    const writable = await open();
    await writable.write({ type: 'write', position: chunks.indexOf(index) * 8 * MB + 7, data: new Uint8Array([255]) });
    await writable.close();
  },
} as const;

/** The error that ends it. */
async function fillUp(file: Awaited<ReturnType<ChunkStore['open']>>): Promise<unknown> {
  try {
    for (let index = 1; index < 60; index++) await file.put(index, chunk(index));
  } catch (error) {
    return error;
  }
  return undefined;
}

test('a database that was deleted under it is made again', async () => {
  const store = new IndexedDbStore();
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
  store.close();
  await deleteStored(url);
});

// IndexedDB's full disk is played in index.test.ts, and met by e2e/trouble.spec.ts: in this page Chromium does not hold it
// to a quota that is set from outside.
test('a full disk is told by OPFS, and what was stored before stays', async () => {
  const store = new OpfsStore();
  const file = await store.open(version);
  await file.put(0, chunk(0));
  const session = cdp();
  const { origin } = location;
  try {
    await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 20 * MB });
    expect(await fillUp(file)).toMatchObject({ code: 'quota-exceeded', file: url });
    expect(await file.read(0, 0, 2)).toEqual(new Uint8Array([1, 1]));
  } finally {
    await session.send('Storage.overrideQuotaForOrigin', { origin });
  }
  await file.put(70, chunk(70));
  expect(await file.read(70, 0, 1)).toEqual(new Uint8Array([71]));
  store.close();
  await deleteStored(url, 'opfs');
});

test('an OPFS file is one tab’s at a time', async () => {
  const [one, two] = [new OpfsStore(), new OpfsStore()];
  await (await one.open(version)).put(0, chunk(0));
  await expect(two.open(version)).rejects.toMatchObject({ code: 'store-unavailable', file: url });
  one.close();
  const file = await two.find(url);
  expect(await file!.read(0, 0, 1)).toEqual(new Uint8Array([1]));
  two.close();
  await deleteStored(url, 'opfs');
});

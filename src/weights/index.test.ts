import 'fake-indexeddb/auto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type WriterTensor, writeGguf } from '../../tools/gguf-writer.ts';
import { startTestServer, type TestServer } from '../../tools/test-server.ts';
import { deleteStored, listStored, openWeightsWith, type Weights } from './index.ts';
import { IndexedDbStore } from './indexeddb-store.ts';
import type { ChunkFile } from './store.ts';
import type { ModelInput, StoreKind } from './types.ts';

const PATH = '/models/tiny.gguf';
const MB = 1024 * 1024;

// A model of F32 tensors whose every byte follows from its name and place.

const B_COLUMNS = 500_003;
const tensors = [filled('a', 77), filled('b', B_COLUMNS, 2), filled('c', 300_001)];
const metadata = { 'general.architecture': 'qwen35' };
const model = writeGguf({ metadata, tensors });
const shardFiles = tensors.map((tensor, i) =>
  writeGguf({
    metadata: {
      ...(i === 0 ? metadata : {}),
      'split.no': ['u16', i],
      'split.count': ['u16', 3],
      'split.tensors.count': ['i32', 3],
    },
    tensors: [tensor],
  }),
);

let server: TestServer;
let opened: Weights[] = [];
const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});

beforeEach(async () => {
  warn.mockClear();
  server = await startTestServer({ files: { [PATH]: model } });
});

afterEach(async () => {
  for (const weights of opened) weights.close();
  opened = [];
  for (const { url } of await listStored()) await deleteStored(url);
  await server.close();
  vi.unstubAllGlobals();
});

describe.each<StoreKind>(['indexeddb', 'none'])('with store %s', (store) => {
  test('the header costs one range, and tensors come right in any order', async () => {
    const weights = await open(server.url(PATH), store);
    expect(weights).toMatchObject({ name: 'tiny', byteLength: model.length, networkBytes: 0, storeBytes: 0 });
    expect(weights.metadata.get('general.architecture')).toBe('qwen35');
    expect(server.count(PATH)).toEqual({ requests: 1, gets: 1, bodyBytes: 256 * 1024 });

    await expectTensor(weights, 'c', 12_345, 1);
    await expectTensor(weights, 'a');
    await expectTensor(weights, 'c');
    await expectTensor(weights, 'b', 1_000_001, 700_000);
    await expectTensor(weights, 'b');
    expect(weights.tensors.get('b')).toMatchObject({ type: 'F32', shape: [2, B_COLUMNS], file: server.url(PATH) });
    // Every byte once, the header's part of the first chunk included.
    expect(server.count(PATH).bodyBytes).toBe(model.length);
    const tensorBytes = tensors.reduce((sum, { data }) => sum + data.length, 0);
    expect(weights.networkBytes).toBeLessThanOrEqual(tensorBytes + 1000);
    expect(weights.networkBytes).toBeGreaterThan(tensorBytes - 1000);
    // What was read twice came out of the store, give or take the padding between tensors.
    expect(weights.storeBytes).toBeGreaterThan(700_000 - 100);
    expect(weights.storeBytes).toBeLessThan(700_000 + 100);
  });

  test('concurrent reads share what is on its way', async () => {
    const weights = await open(server.url(PATH), store);
    await Promise.all([expectTensor(weights, 'b'), expectTensor(weights, 'b'), expectTensor(weights, 'c')]);
    expect(server.count(PATH).bodyBytes).toBeLessThanOrEqual(model.length);
  });

  test('a server that ignores ranges sends the file once', async () => {
    server.behave(PATH, { ignoreRange: true });
    const weights = await open(server.url(PATH), store);
    await Promise.all(['a', 'c', 'b'].map((name) => expectTensor(weights, name)));
    await expectTensor(weights, 'b');
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn).toHaveBeenCalledWith(expect.stringMatching(/does not support range requests/));
    expect(server.count(PATH)).toEqual({ requests: 1, gets: 1, bodyBytes: model.length });
  });

  test('a server that tells neither ranges nor length sends the file once', async () => {
    server.behave(PATH, { ignoreRange: true, noLength: true });
    const weights = await open(server.url(PATH), store);
    await Promise.all(['a', 'c', 'b'].map((name) => expectTensor(weights, name)));
    expect(server.count(PATH)).toEqual({ requests: 1, gets: 1, bodyBytes: model.length });
  });

  test('a server that ignores ranges and breaks off is asked again', async () => {
    server.behave(PATH, { ignoreRange: true, drop: { afterBytes: 2 * MB, times: 1 } });
    const weights = await open(server.url(PATH), store);
    await Promise.all(['a', 'c', 'b'].map((name) => expectTensor(weights, name)));
    expect(server.count(PATH).gets).toBe(2);
  });

  test('a server may stop answering ranges midway', async () => {
    const weights = await open(server.url(PATH), store);
    await expectTensor(weights, 'a');
    server.behave(PATH, { ignoreRange: true });
    await Promise.all([expectTensor(weights, 'b'), expectTensor(weights, 'c')]);
    expect(warn).toHaveBeenCalledTimes(1);
  });

  test('a dropped connection is resumed where it broke', async () => {
    const weights = await open(server.url(PATH), store);
    server.behave(PATH, { drop: { afterBytes: 300_000 } });
    await expectTensor(weights, 'b');
    const starts = server.requests.slice(1).map(({ range }) => Number(/\d+/.exec(range ?? '')?.[0]));
    expect(starts.length).toBeGreaterThan(10);
    for (let i = 1; i < starts.length; i++) expect(starts[i]).toBeGreaterThan(starts[i - 1]);
  });

  test('a redirect is followed once, and again when the address it led to has expired', async () => {
    server.behave('/link.gguf', { redirectTo: PATH });
    const weights = await open(server.url('/link.gguf'), store);
    await expectTensor(weights, 'a');
    await expectTensor(weights, 'b');
    expect(server.count('/link.gguf').requests).toBe(1);
    server.behave(PATH, { fail: { status: 403, times: 1 } });
    await expectTensor(weights, 'c');
    expect(server.count('/link.gguf').requests).toBe(2);
    expect(weights.tensors.get('a')?.file).toBe(server.url('/link.gguf'));
  });

  test('a chunk that the header began is completed, not fetched again', async () => {
    const large = filled('large', 10_000_003);
    const bytes = writeGguf({ tensors: [large] });
    server.setFile('/large.gguf', bytes);
    const weights = await open(server.url('/large.gguf'), store);
    const tensor = weights.tensors.get('large')!;
    const [start, all] = await Promise.all([tensor.read(0, 10), tensor.read(0, tensor.byteLength)]);
    expect(Buffer.compare(start, large.data.subarray(0, 10))).toBe(0);
    expect(Buffer.compare(all, large.data)).toBe(0);
    expect(server.count('/large.gguf').bodyBytes).toBe(bytes.length);
    // One range for the header, then one per 8 MiB: the short read goes along with the long one.
    expect(server.count('/large.gguf').requests).toBe(1 + 5);
  });

  test('passing failures are waited for, lasting ones are told', async () => {
    server.behave(PATH, { fail: { status: 503, times: 2 } });
    const weights = await open(server.url(PATH), store);
    expect(server.count(PATH).gets).toBe(3);
    server.behave(PATH, { fail: { status: 429, times: 3, retryAfterSeconds: 0 } });
    await expectTensor(weights, 'a');
    server.behave(PATH, { fail: { status: 500 } });
    await expect(readAll(weights, 'b')).rejects.toMatchObject({
      code: 'http-error',
      status: 500,
      file: server.url(PATH),
    });
  });

  test('a file that changes midway is noticed', async () => {
    const weights = await open(server.url(PATH), store);
    server.behave(PATH, { etag: '"new"' });
    await expect(readAll(weights, 'b')).rejects.toMatchObject({ code: 'file-changed' });
    server.behave(PATH);
    server.setFile(PATH, model.slice(0, -4));
    await expect(readAll(weights, 'b')).rejects.toMatchObject({ code: 'file-changed' });
  });

  test('an abort stops a read and its requests at once', async () => {
    const weights = await open(server.url(PATH), store);
    server.behave(PATH, { bytesPerSecond: 2e6 });
    const abort = new AbortController();
    const reading = readAll(weights, 'b', abort.signal);
    await server.until((requests) => requests.length > 1 && requests[1].bodyBytes > 0);
    abort.abort();
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
    await server.until((requests) => requests.slice(1).every(({ aborted }) => aborted));
    server.behave(PATH);
    await expectTensor(weights, 'b');
  });

  test('a shared request ends only when both readers gave up', async () => {
    const weights = await open(server.url(PATH), store);
    server.behave(PATH, { bytesPerSecond: 8e6 });
    const [first, second] = [new AbortController(), new AbortController()];
    const reads = [readAll(weights, 'b', first.signal), readAll(weights, 'b', second.signal)];
    await server.until((requests) => requests.length > 1);
    first.abort();
    await expect(reads[0]).rejects.toMatchObject({ name: 'AbortError' });
    expect(Buffer.compare(await reads[1], bytesOf('b'))).toBe(0);
    expect(server.count(PATH).bodyBytes).toBeLessThanOrEqual(model.length);
  });

  test('an abort while opening is prompt, also where the server stalls', async () => {
    server.behave(PATH, { stall: true });
    const abort = new AbortController();
    const opening = open(server.url(PATH), store, abort.signal);
    await server.until((requests) => requests.length === 1);
    abort.abort(new DOMException('enough', 'AbortError'));
    await expect(opening).rejects.toMatchObject({ name: 'AbortError', message: 'enough' });
    await server.until((requests) => requests[0].aborted);
  });

  test('a connection that goes silent counts as dropped', async () => {
    server.behave(PATH, { stall: true });
    const opening = openWeightsWith(server.url(PATH), { store }, { stallMs: 30, retryDelayMs: 1 });
    await expect(opening).rejects.toMatchObject({ code: 'network' });
  });

  test('closing ends what is on its way', async () => {
    const weights = await open(server.url(PATH), store);
    server.behave(PATH, { stall: true });
    const reading = readAll(weights, 'b');
    await server.until((requests) => requests.length > 1);
    weights.close();
    await expect(reading).rejects.toMatchObject({ code: 'disposed' });
    await expect(readAll(weights, 'a')).rejects.toMatchObject({ code: 'disposed' });
  });

  test('shards are one model, from the URL of any of them, query string and all', async () => {
    serveShards();
    for (const given of ['00001', '00003']) {
      const weights = await open(`${server.url(`/m/big-${given}-of-00003.gguf`)}?token=x`, store);
      expect(weights.name).toBe('big-00001-of-00003');
      expect([...weights.tensors.keys()]).toEqual(['a', 'b', 'c']);
      expect(weights.tensors.get('c')?.file).toBe(`${server.url('/m/big-00003-of-00003.gguf')}?token=x`);
      for (const name of ['a', 'b', 'c']) await expectTensor(weights, name);
      expect(weights.metadata.get('general.architecture')).toBe('qwen35');
      expect(weights.byteLength).toBe(shardFiles.reduce((sum, bytes) => sum + bytes.length, 0));
    }
  });

  test('shards under any names are put in order', async () => {
    shardFiles.forEach((bytes, i) => {
      server.setFile(`/part-${i}`, bytes);
    });
    const weights = await open(
      [2, 0, 1].map((i) => server.url(`/part-${i}`)),
      store,
    );
    expect([...weights.tensors.keys()]).toEqual(['a', 'b', 'c']);
    await expect(open(server.url('/part-0'), store)).rejects.toMatchObject({ code: 'missing-shard' });
    await expect(open([server.url('/part-0'), server.url('/part-2')], store)).rejects.toMatchObject({
      code: 'missing-shard',
    });
  });

  test('a shard that is not there is named', async () => {
    serveShards();
    server.removeFile('/m/big-00002-of-00003.gguf');
    await expect(open(server.url('/m/big-00001-of-00003.gguf'), store)).rejects.toMatchObject({
      code: 'missing-shard',
      file: server.url('/m/big-00002-of-00003.gguf'),
      message: expect.stringContaining('big-00002-of-00003.gguf'),
    });
  });

  test.each<[string, Parameters<TestServer['behave']>[1], string, RegExp]>([
    ['404', { fail: { status: 404 } }, 'not-found', /Check the address/],
    ['401', { fail: { status: 401 } }, 'http-error', /private, gated/],
    ['403', { fail: { status: 403 } }, 'http-error', /private, gated/],
    ['502', { fail: { status: 502 } }, 'http-error', /Try again later/],
    ['a web page', { html: true }, 'not-a-gguf', /web page/],
    ['a drop before every first byte', { drop: { afterBytes: 0 } }, 'network', /broke off/],
  ])('%s is told with a remedy', async (_, behaviour, code, message) => {
    server.behave(PATH, behaviour);
    await expect(open(server.url(PATH), store)).rejects.toMatchObject({
      code,
      file: server.url(PATH),
      message: expect.stringMatching(message),
    });
  });

  test.each<[string, Uint8Array, string]>([
    ['a web page without its type', new TextEncoder().encode('<html><body>hello'), 'not-a-gguf'],
    ['a Git LFS pointer', new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\n'), 'not-a-gguf'],
    ['an empty file', new Uint8Array(0), 'truncated'],
    ['half a model', model.slice(0, 3 * MB), 'truncated'],
    ['a header cut short', model.slice(0, 100), 'truncated'],
  ])('%s is refused', async (_, bytes, code) => {
    server.setFile(PATH, bytes);
    await expect(open(server.url(PATH), store)).rejects.toMatchObject({ code });
  });

  test('a server that hides its headers from other origins still serves ranges', async () => {
    // Node sees every header: CORS is played by leaving them out.
    hideHeaders();
    const weights = await open(server.url(PATH), store);
    await expectTensor(weights, 'b');
    expect(server.requests.filter(({ method }) => method === 'HEAD')).toHaveLength(1);

    server.behave(PATH, { head: false });
    const again = await open(`${server.url(PATH)}?2`, store);
    await expectTensor(again, 'a');
    expect(server.count(PATH).bodyBytes).toBeLessThan(2 * model.length);
  });
});

describe('the store', () => {
  test('serves a second load without a byte from the network', async () => {
    await loadAll(server.url(PATH));
    server.resetCounts();
    const weights = await loadAll(server.url(PATH));
    expect(server.requests.map(({ method }) => method)).toEqual(['HEAD']);
    expect(server.count(PATH).bodyBytes).toBe(0);
    expect(weights.networkBytes).toBe(0);
    expect(weights.storeBytes).toBe(tensors.reduce((sum, { data }) => sum + data.length, 0));
    expect(warn).not.toHaveBeenCalled();
  });

  test('is read chunk by chunk by who reads a file from end to end in small parts', async () => {
    await loadAll(server.url(PATH));
    const find = vi.spyOn(IndexedDbStore.prototype, 'find');
    const weights = await open(server.url(PATH), 'indexeddb');
    const file = (await find.mock.results[0].value) as ChunkFile;
    const chunkReads = vi.spyOn(file, 'read');
    const { byteLength } = weights.tensors.get('b')!;
    const PART = 10_000;
    for (let start = 0; start < byteLength; start += PART) {
      await expectTensor(weights, 'b', start, Math.min(PART, byteLength - start));
    }
    const chunks = byteLength / file.chunkBytes;
    // Its first part, and then the whole of it.
    expect(chunkReads.mock.calls.length).toBeLessThanOrEqual(2 * Math.ceil(chunks + 1));
    expect(byteLength / PART).toBeGreaterThan(5 * chunks);
    expect(weights.storeBytes).toBe(byteLength);
    find.mockRestore();
  });

  test('resumes an interrupted download where it stopped', async () => {
    const first = await open(server.url(PATH), 'indexeddb');
    server.behave(PATH, { bytesPerSecond: 4e6 });
    const abort = new AbortController();
    const reading = readAll(first, 'b', abort.signal);
    await server.until((requests) => requests.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0) > 2 * MB);
    abort.abort();
    await expect(reading).rejects.toThrow();
    first.close();
    server.behave(PATH);

    const [{ storedBytes }] = await listStored();
    expect(storedBytes).toBeGreaterThan(1 * MB);
    server.resetCounts();
    const second = await loadAll(server.url(PATH));
    expect(server.count(PATH).bodyBytes).toBeLessThanOrEqual(model.length - storedBytes);
    expect(second.storeBytes).toBeGreaterThan(0.9 * MB);
    expect((await listStored())[0].storedBytes).toBe(model.length);
  });

  test('works without the server once it has everything', async () => {
    await loadAll(server.url(PATH));
    server.behave(PATH, { fail: { status: 503 } });
    await loadAll(server.url(PATH));
    server.behave(PATH, { html: true });
    await loadAll(server.url(PATH));
    const url = server.url(PATH);
    await server.close();
    await loadAll(url);
    expect(warn).toHaveBeenCalledTimes(3);
    server = await startTestServer();
  });

  test('asks by range where HEAD is refused or differs', async () => {
    await loadAll(server.url(PATH));
    server.resetCounts();
    server.behave(PATH, { head: false });
    await loadAll(server.url(PATH));
    expect(server.count(PATH)).toMatchObject({ requests: 2, bodyBytes: 1 });
    expect(warn).not.toHaveBeenCalled();
  });

  test('drops a file that has changed on the server', async () => {
    await loadAll(server.url(PATH));
    const changed = model.slice();
    const at = changed.length - 5;
    changed[at] ^= 1;
    server.setFile(PATH, changed);
    const weights = await open(server.url(PATH), 'indexeddb');
    const c = await readAll(weights, 'c');
    expect(c[c.length - 5]).toBe(changed[at]);
    expect(warn).toHaveBeenCalledWith(expect.stringMatching(/has changed on the server/));
    const stored = await listStored();
    expect(stored).toHaveLength(1);
    expect(stored[0].storedBytes).toBeLessThan(model.length);
  });

  test('fills from a server without ranges, which a second load does not ask', async () => {
    server.behave(PATH, { ignoreRange: true });
    await loadAll(server.url(PATH));
    server.resetCounts();
    await loadAll(server.url(PATH));
    expect(server.requests.map(({ method }) => method)).toEqual(['HEAD']);
  });

  test('is not harmed by two pages that load the same file', async () => {
    const [one, two] = await Promise.all([open(server.url(PATH), 'indexeddb'), open(server.url(PATH), 'indexeddb')]);
    await Promise.all([one, two].flatMap((weights) => ['a', 'b', 'c'].map((name) => expectTensor(weights, name))));
    expect(await listStored()).toMatchObject([
      { url: server.url(PATH), size: model.length, storedBytes: model.length },
    ]);
    await loadAll(server.url(PATH));
  });

  test('may be emptied while it is in use', async () => {
    const weights = await loadAll(server.url(PATH));
    await deleteStored(server.url(PATH));
    expect(await listStored()).toEqual([]);
    await expectTensor(weights, 'b');
  });

  test('that is too small says so before the download, or when it fills up', async () => {
    vi.stubGlobal('navigator', { storage: { estimate: async () => ({ quota: 3e6, usage: 1e6 }) } });
    await expect(open(server.url(PATH), 'indexeddb')).rejects.toMatchObject({
      code: 'quota-exceeded',
      message: expect.stringMatching(/5 MB are still to come; 2 MB are available.*store: 'none'/),
    });
    vi.stubGlobal('navigator', {});
    const weights = await open(server.url(PATH), 'indexeddb');
    await expectTensor(weights, 'a');
    const put = vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
      throw new DOMException('full', 'QuotaExceededError');
    });
    await expect(readAll(weights, 'b')).rejects.toMatchObject({ code: 'quota-exceeded' });
    put.mockRestore();
    await expectTensor(weights, 'b');
  });

  test('of which the browser feigns a size is believed to have room', async () => {
    const large = { size: 220e9, url: 'https://models.test/large.gguf' };
    const usage = 123_456;
    vi.stubGlobal('navigator', { storage: { estimate: async () => ({ quota: usage + 10 * 2 ** 30, usage }) } });
    const room = new IndexedDbStore();
    await room.checkRoom(large.size, large.url);
    vi.stubGlobal('navigator', { storage: { estimate: async () => ({ quota: usage + 100e9, usage }) } });
    await expect(room.checkRoom(large.size, large.url)).rejects.toMatchObject({ code: 'quota-exceeded' });
  });

  test('that does not exist is told', async () => {
    await expect(open(server.url(PATH), 'opfs')).rejects.toMatchObject({ code: 'store-unavailable' });
    vi.stubGlobal('indexedDB', undefined);
    await expect(open(server.url(PATH), 'indexeddb')).rejects.toMatchObject({ code: 'store-unavailable' });
    vi.unstubAllGlobals();
  });
});

describe('without a server', () => {
  test('picked files are read where they lie', async () => {
    const weights = await open(new File([model], 'my model.gguf'), 'indexeddb');
    expect(weights.name).toBe('my model');
    await expectTensor(weights, 'b');
    expect(weights.storeBytes).toBe(bytesOf('b').length);
    expect(await listStored()).toEqual([]);
  });

  test('picked shards are put in order, and a missing one is named', async () => {
    const files = shardFiles.map((bytes, i) => new File([bytes], `big-0000${i + 1}-of-00003.gguf`));
    const weights = await open([files[1], files[2], files[0]], 'none');
    for (const name of ['a', 'b', 'c']) await expectTensor(weights, name);
    for (const some of [[files[0]], [files[2], files[0]]]) {
      const error = await open(some, 'none').catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'missing-shard', file: 'big-00002-of-00003.gguf' });
    }
    await expect(open([files[0], files[1], files[1]], 'none')).rejects.toMatchObject({ code: 'corrupt-gguf' });
  });

  test('shards that do not belong together are refused', async () => {
    const other = (split: Record<string, number>, names = ['z']) =>
      new Blob([writeGguf({ metadata: split, tensors: names.map((name) => filled(name, 8)) })]);
    const first = other({ 'split.no': 0, 'split.count': 2, 'split.tensors.count': 2 }, ['y']);
    const cases: [Blob, RegExp][] = [
      [other({ 'split.no': 1, 'split.count': 3 }), /one of 3/],
      [other({ 'split.no': 2, 'split.count': 2 }), /split.no is 2/],
      [other({ 'split.no': 1, 'split.count': 2 }, ['y']), /in another shard too/],
      [other({ 'split.no': 1, 'split.count': 2 }, ['x', 'z']), /split.tensors.count is 2, but the shards hold 3/],
      [other({ 'split.no': 1.5, 'split.count': 2 }), /split.no is 1.5/],
    ];
    for (const [second, message] of cases) {
      await expect(open([first, second], 'none')).rejects.toThrow(message);
    }
    await expect(open([first, other({ 'split.no': 1, 'split.count': 2 })], 'none')).resolves.toBeDefined();
  });

  test('a refused origin and a missing server are told apart', async () => {
    const nowhere = 'http://model.test/x.gguf';
    vi.stubGlobal('origin', 'http://page.test');
    let opaqueWorks = true;
    vi.stubGlobal('fetch', async (_url: string, init: RequestInit) => {
      if (init.mode === 'no-cors' && opaqueWorks) return new Response();
      throw new TypeError('Failed to fetch');
    });
    await expect(open(nowhere, 'none')).rejects.toMatchObject({
      code: 'cors',
      message: expect.stringMatching(/page\.test/),
    });
    opaqueWorks = false;
    await expect(open(nowhere, 'none')).rejects.toMatchObject({
      code: 'network',
      message: expect.stringMatching(/reached/),
    });
    vi.stubGlobal('origin', 'https://page.test');
    await expect(open(nowhere, 'none')).rejects.toMatchObject({
      code: 'network',
      message: expect.stringMatching(/https/),
    });
    vi.stubGlobal('navigator', { onLine: false });
    await expect(open(nowhere, 'none')).rejects.toMatchObject({
      code: 'network',
      message: expect.stringMatching(/offline/),
    });
  });

  test('bad inputs are named', async () => {
    await expect(open('not a url', 'none')).rejects.toMatchObject({ code: 'invalid-request', param: 'model' });
    await expect(open([], 'none')).rejects.toMatchObject({ code: 'invalid-request', param: 'model' });
    const weights = await open(new Blob([model]), 'none');
    await expect(weights.tensors.get('a')!.read(0, 1e9)).rejects.toBeInstanceOf(RangeError);
  });
});

function filled(name: string, columns: number, rows = 1): WriterTensor {
  const data = new Uint8Array(rows * columns * 4);
  const seed = name.charCodeAt(0);
  for (let i = 0; i < data.length; i++) data[i] = (seed + i * 31 + (i >>> 8)) & 255;
  return { name, typeId: 0, shape: rows === 1 ? [columns] : [rows, columns], data };
}

function bytesOf(name: string): Uint8Array {
  return tensors.find((tensor) => tensor.name === name)!.data;
}

function serveShards(): void {
  shardFiles.forEach((bytes, i) => {
    server.setFile(`/m/big-0000${i + 1}-of-00003.gguf`, bytes);
  });
}

async function open(input: ModelInput, store: StoreKind, signal?: AbortSignal): Promise<Weights> {
  const weights = await openWeightsWith(input, { store, signal }, { retryDelayMs: 1 });
  opened.push(weights);
  return weights;
}

async function readAll(weights: Weights, name: string, signal?: AbortSignal): Promise<Uint8Array> {
  const tensor = weights.tensors.get(name)!;
  return tensor.read(0, tensor.byteLength, signal);
}

async function expectTensor(weights: Weights, name: string, start = 0, length = bytesOf(name).length): Promise<void> {
  const bytes = await weights.tensors.get(name)!.read(start, length);
  expect(Buffer.compare(bytes, bytesOf(name).subarray(start, start + length)), name).toBe(0);
}

async function loadAll(url: string): Promise<Weights> {
  const weights = await open(url, 'indexeddb');
  for (const { name } of tensors) await expectTensor(weights, name);
  return weights;
}

function hideHeaders(): void {
  const real = globalThis.fetch;
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const { body, status, headers } = await real(url, init);
    const shown = new Headers(headers);
    for (const name of ['content-range', 'etag', 'accept-ranges']) shown.delete(name);
    return new Response(body, { status, headers: shown });
  });
}

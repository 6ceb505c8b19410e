/** What a step waits for comes before the download; no byte is asked for twice. */
import 'fake-indexeddb/auto';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type WriterTensor, writeGguf } from '../../tools/gguf-writer.ts';
import { startTestServer, type TestServer } from '../../tools/test-server.ts';
import { deleteStored, listStored, openWeightsWith, type StoreKind, type Weights } from './index.ts';

const PATH = '/moe.gguf';
const MB = 1024 * 1024;
/** A file of 64 MiB has chunks of 1 MiB. */
const CHUNK = MB;
const EXPERTS = 64;
const EXPERT_BYTES = 300 * 1024;
const GATE = 'blk.0.ffn_gate_exps.weight';
const UP = 'blk.0.ffn_up_exps.weight';
const DOWN = 'blk.0.ffn_down_exps.weight';

const model = writeGguf({
  metadata: { 'general.architecture': 'qwen35moe' },
  tensors: [filled('token_embd.weight', 5), stack(GATE), stack(UP), stack(DOWN)],
});

let server: TestServer;
let weights: Weights;
let stop: AbortController;
const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});

beforeEach(async () => {
  warn.mockClear();
  server = await startTestServer({ files: { [PATH]: model } });
  stop = new AbortController();
});

afterEach(async () => {
  stop.abort();
  weights.close();
  for (const { url } of await listStored()) await deleteStored(url);
  await server.close();
});

test('an urgent expert overtakes the download, which pauses meanwhile and goes on after', async () => {
  await open('indexeddb');
  server.behave(PATH, { bytesPerSecond: 20e6 });
  const download = weights.download(stop.signal);
  await server.until((requests) => requests.length >= 4 && requests.every(({ bodyBytes }) => bodyBytes > 0));
  const before = server.requests.length;
  await expectExpert(DOWN, 60, 'urgent');
  // Its request was the next one; the others, of 8 MiB each, came on by what the connection buffers at most.
  const [next] = server.requests.slice(before);
  const [from, to] = rangeOf(next.range);
  expect(from).toBeGreaterThanOrEqual(offsetOf(DOWN, 60) - CHUNK);
  expect(to).toBeLessThan(offsetOf(DOWN, 61) + CHUNK);
  server.behave(PATH);
  await download;
  expect(weights.missingBytes).toBe(0);
  expect(server.count(PATH).bodyBytes + headBytes).toBe(model.length);
  expect(await listStored()).toMatchObject([{ storedBytes: model.length }]);
});

test('the download takes no bandwidth while a step waits', async () => {
  await open('indexeddb');
  server.behave(PATH, { stall: true });
  const urgent = expectExpert(DOWN, 60, 'urgent');
  await server.until((requests) => requests.length === 1);
  server.behave(PATH);
  const download = weights.download(stop.signal);
  // The download's requests may start, but are not read on beyond their first pieces.
  await server.until((requests) => requests.filter(({ bodyBytes }) => bodyBytes > 0).length >= 3);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect((await listStored())[0].storedBytes).toBeLessThan(8 * CHUNK);
  weights.close();
  await expect(urgent).rejects.toMatchObject({ code: 'disposed' });
  await expect(download).rejects.toMatchObject({ code: 'disposed' });
});

test('neighbouring experts that are asked for together come with one request', async () => {
  await open('indexeddb');
  await Promise.all([20, 22, 21].map((expert) => expectExpert(GATE, expert, 'urgent')));
  expect(server.requests).toHaveLength(1);
});

test('bytes requested beyond those needed are less than two chunks a range, and never asked for again', async () => {
  await open('indexeddb');
  const experts = [3, 17, 40];
  for (const expert of experts) {
    await Promise.all([GATE, DOWN].map((name) => expectExpert(name, expert, 'urgent')));
  }
  const needed = experts.length * 2 * EXPERT_BYTES;
  const requested = server.count(PATH).bodyBytes;
  expect(requested).toBeLessThan(needed + experts.length * 2 * 2 * CHUNK);
  // A step does not wait until its bytes are stored.
  await vi.waitFor(async () => expect((await listStored())[0].storedBytes).toBe(requested + headBytes));
  for (const expert of experts) await expectExpert(DOWN, expert, 'urgent');
  expect(server.count(PATH).bodyBytes).toBe(requested);
  expect(weights.tensors.get(DOWN)!.isLocal(17 * EXPERT_BYTES, EXPERT_BYTES)).toBe(true);
  expect(weights.tensors.get(DOWN)!.isLocal(60 * EXPERT_BYTES, EXPERT_BYTES)).toBe(false);
});

test('a chunk that waits in the download becomes urgent with its most urgent reader', async () => {
  await open('indexeddb');
  server.behave(PATH, { bytesPerSecond: 10e6 });
  const reads = [GATE, UP, DOWN].map((name) => weights.tensors.get(name)!.read(0, EXPERTS * EXPERT_BYTES));
  await server.until((requests) => requests.length >= 4);
  const before = server.requests.length;
  const waiting = offsetOf(DOWN, 60);
  expect(server.requests.some(({ range }) => rangeOf(range)[1] > waiting)).toBe(false);
  await expectExpert(DOWN, 60, 'urgent');
  expect(rangeOf(server.requests[before].range)[1]).toBeGreaterThan(waiting);
  server.behave(PATH);
  await Promise.all([...reads, weights.download()]);
  expect(server.count(PATH).bodyBytes + headBytes).toBe(model.length);
});

test('a prefetch that finds all connections taken by the download does not stop it', async () => {
  await open('indexeddb');
  server.behave(PATH, { bytesPerSecond: 10e6 });
  const download = weights.download();
  await server.until((requests) => requests.length >= 4);
  const read = expectExpert(DOWN, 60, 'prefetch');
  server.behave(PATH);
  await Promise.all([download, read]);
  expect(weights.missingBytes).toBe(0);
});

test('a cancelled prefetch that waited costs no request', async () => {
  await open('indexeddb');
  server.behave(PATH, { bytesPerSecond: 5e6 });
  const reads = [0, 8, 16, 24, 32].map((expert) => expectExpert(GATE, expert, 'prefetch'));
  await server.until((requests) => requests.length === 4);
  const abort = new AbortController();
  const cancelled = [40, 41, 50].map((expert) => readExpert(DOWN, expert, 'prefetch', abort.signal));
  abort.abort();
  for (const read of cancelled) await expect(read).rejects.toMatchObject({ name: 'AbortError' });
  server.behave(PATH);
  await Promise.all(reads);
  const begins = offsetOf(DOWN, 40);
  expect(server.requests.some(({ range }) => rangeOf(range)[1] > begins)).toBe(false);
  expect(warn).not.toHaveBeenCalled();
});

test('a full store does not stop a step, only the download', async () => {
  await open('indexeddb');
  const put = vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
    throw new DOMException('full', 'QuotaExceededError');
  });
  await expectExpert(DOWN, 5, 'urgent');
  await expectExpert(DOWN, 15, 'urgent');
  expect(warn).toHaveBeenCalledTimes(1);
  await expect(weights.download()).rejects.toMatchObject({ code: 'quota-exceeded' });
  put.mockRestore();
  await expectExpert(DOWN, 5, 'urgent');
  await weights.download();
  expect(weights.missingBytes).toBe(0);
});

test('without a store an expert is read alone, and there is nothing to download', async () => {
  await open('none');
  await weights.download();
  await expectExpert(DOWN, 30, 'urgent');
  expect(server.count(PATH).bodyBytes).toBeLessThan(EXPERT_BYTES + 2 * CHUNK);
});

async function open(store: StoreKind): Promise<void> {
  weights = await openWeightsWith(server.url(PATH), { store }, { retryDelayMs: 1 });
  server.resetCounts();
}

/** Read for the header, and kept for the chunk that it begins. */
const headBytes = 256 * 1024;

function readExpert(
  name: string,
  expert: number,
  priority: 'urgent' | 'prefetch' | 'background',
  signal?: AbortSignal,
) {
  return weights.tensors.get(name)!.read(expert * EXPERT_BYTES, EXPERT_BYTES, signal, priority);
}

async function expectExpert(name: string, expert: number, priority: 'urgent' | 'prefetch' | 'background') {
  const bytes = await readExpert(name, expert, priority);
  const expected = model.subarray(offsetOf(name, expert), offsetOf(name, expert + 1));
  expect(Buffer.compare(bytes, expected), `${name} ${expert}`).toBe(0);
}

function rangeOf(range: string | undefined): [from: number, to: number] {
  const [from, to] = /(\d+)-(\d+)/
    .exec(range ?? '')!
    .slice(1)
    .map(Number);
  return [from, to];
}

/** Of an expert, in the file: its stacks are the last of it. */
function offsetOf(name: string, expert: number): number {
  return model.length - (name === DOWN ? 1 : 3) * EXPERTS * EXPERT_BYTES + expert * EXPERT_BYTES;
}

function stack(name: string): WriterTensor {
  return { ...filled(name, (EXPERTS * EXPERT_BYTES) / 4), shape: [EXPERTS, 75, 1024] };
}

function filled(name: string, columns: number): WriterTensor {
  const data = new Uint8Array(columns * 4);
  const words = new Uint32Array(data.buffer);
  const seed = name.length;
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + seed, 2654435761);
  return { name, typeId: 0, shape: [columns], data };
}

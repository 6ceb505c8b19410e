/**
 * MB/s of each store in this browser: writing, reading in order, reading experts at random (three ranges of 2.4 MB each).
 * The rounds of the stores alternate, so that other work on the machine falls on both; medians are printed. What was
 * written a moment ago is read from the system's cache: the figures are the browser's cost, not the disk's.
 */
import { test } from 'vitest';
import { keepErrorClasses } from '../../src/api/wire.ts';
import { provideStorageWorker } from '../../src/weights/index.ts';
import { IndexedDbStore } from '../../src/weights/indexeddb-store.ts';
import { STORAGE_WORKER } from '../../src/weights/opfs-files.ts';
import { OpfsStore } from '../../src/weights/opfs-store.ts';
import type { ChunkFile, ChunkStore } from '../../src/weights/store.ts';

const MB = 1024 * 1024;
const FILE_BYTES = 128 * MB;
const ROUNDS = 7;
const IN_FLIGHT = 4;
const EXPERTS = 24;
/** Of one projection of a 397B expert at Q4_K. */
const PROJECTION_BYTES = (4096 * 1024 * 144) / 256;

keepErrorClasses();
provideStorageWorker(
  () =>
    new Worker(new URL('../../workers/engine-worker.ts', import.meta.url), { type: 'module', name: STORAGE_WORKER }),
);

const stores: [string, () => ChunkStore][] = [
  ['IndexedDB', () => new IndexedDbStore()],
  ['OPFS', () => new OpfsStore()],
];

test('stores', async () => {
  const rows = ['| store | chunks | write | read in order | random experts |', '|---|---|---|---|---|'];
  for (const chunkBytes of [2 * MB, 8 * MB]) {
    const figures = new Map(stores.map(([name]) => [name, [] as number[][]]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, create] of stores) figures.get(name)!.push(await measure(create(), chunkBytes));
    }
    for (const [name, rounds] of figures) {
      const medians = rounds[0].map((_, column) => median(rounds.map((round) => round[column])));
      const cells = medians.map((value) => `${value.toFixed(0)} MB/s`);
      rows.push(`| ${name} | ${chunkBytes / MB} MiB | ${cells.join(' | ')} |`);
    }
  }
  console.log(rows.join('\n'));
});

async function measure(store: ChunkStore, chunkBytes: number): Promise<[number, number, number]> {
  const url = `https://bench.test/${crypto.randomUUID()}`;
  // The tests' stores ask for chunks by the file's size; this one's is that of a large model.
  const file = await store.open({ url, size: 64 * 2 ** 30 }, chunkBytes);
  const bytes = new Uint8Array(chunkBytes);
  for (let at = 0; at < chunkBytes; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  const chunks = FILE_BYTES / chunkBytes;
  const write = await rate(
    FILE_BYTES,
    Array.from({ length: chunks }, (_, index) => () => file.put(index, bytes)),
  );
  const inOrder = Array.from({ length: FILE_BYTES / (8 * MB) }, (_, i) => () => read(file, i * 8 * MB, 8 * MB));
  const ordered = await rate(FILE_BYTES, inOrder);
  const random = Array.from({ length: EXPERTS * 3 }, () => {
    const start = Math.floor(Math.random() * (FILE_BYTES - PROJECTION_BYTES));
    return () => read(file, start, PROJECTION_BYTES);
  });
  const experts = await rate(EXPERTS * 3 * PROJECTION_BYTES, random);
  await store.delete(url);
  store.close();
  return [write, ordered, experts];
}

async function read(file: ChunkFile, start: number, length: number): Promise<void> {
  const out = new Uint8Array(length);
  const first = Math.floor(start / file.chunkBytes);
  const last = Math.floor((start + length - 1) / file.chunkBytes);
  await Promise.all(
    Array.from({ length: last - first + 1 }, async (_, i) => {
      const chunkStart = (first + i) * file.chunkBytes;
      const from = Math.max(start, chunkStart);
      const to = Math.min(start + length, chunkStart + file.chunkBytes);
      const bytes = await file.read(first + i, from - chunkStart, to - chunkStart);
      if (!bytes) throw new Error(`Chunk ${first + i} is missing.`);
      out.set(bytes, from - start);
    }),
  );
}

async function rate(bytes: number, jobs: (() => Promise<unknown>)[]): Promise<number> {
  const started = performance.now();
  let next = 0;
  const work = async () => {
    while (next < jobs.length) await jobs[next++]();
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  return bytes / (performance.now() - started) / 1000;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

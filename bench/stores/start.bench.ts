/**
 * Where the time of a second start goes: loading a stored model in this page, beside reading its bytes from the store and
 * handing them to the GPU, each alone and in turn; and what of a start is script, by the browser's own profiler.
 */

import { expect, test } from 'vitest';
import { cdp } from 'vitest/browser';
import { Engine, type LoadProgress } from '../../src/index.ts';
import { IndexedDbStore } from '../../src/weights/indexeddb-store.ts';
import { chunkLength } from '../../src/weights/store.ts';

const MODEL = new URL('/bench/models/0.8b-8-layers-q4_k.gguf', location.href).href;
const ROUNDS = 3;
const PIECE_BYTES = 8 * 1024 * 1024;
const SHOWN_FUNCTIONS = 12;

interface Start {
  ms: number;
  /** Until the last weight was on the GPU. */
  weightsMs: number;
  scriptMs: number;
  bytes: number;
  networkBytes: number;
  /** Milliseconds by function, the most first. */
  functions: [name: string, ms: number][];
}

/** What of Chrome's profile is used. */
interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
}
interface Session {
  send(method: 'Profiler.stop'): Promise<{ profile: Profile }>;
  send(method: string, parameters?: object): Promise<unknown>;
}

test('a second start', async () => {
  const session = cdp() as unknown as Session;
  await session.send('Profiler.enable');
  await session.send('Profiler.setSamplingInterval', { interval: 500 });
  const first = await start(session);
  expect(first.networkBytes).toBeGreaterThan(0);
  const seconds: Start[] = [];
  const reads: number[] = [];
  const uploads: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    reads.push(await readStored());
    uploads.push(await upload(first.bytes));
    seconds.push(await start(session));
  }
  expect(seconds.map(({ networkBytes }) => networkBytes)).toEqual(seconds.map(() => 0));
  const rate = (ms: number) => `${((first.bytes / 1e6 / ms) * 1000).toFixed(0)} MB/s`;
  const lines = [
    `${(first.bytes / 1e6).toFixed(0)} MB, medians of ${ROUNDS}`,
    '| | ms | |',
    '|---|---|---|',
    `| reading the store alone | ${median(reads).toFixed(0)} | ${rate(median(reads))} |`,
    `| handing the bytes to the GPU alone | ${median(uploads).toFixed(0)} | ${rate(median(uploads))} |`,
    ...[['first start', [first]] as const, ['second start', seconds] as const].flatMap(([name, starts]) => [
      `| ${name} | ${median(starts.map(({ ms }) => ms)).toFixed(0)} | |`,
      `| … until the weights are there | ${median(starts.map(({ weightsMs }) => weightsMs)).toFixed(0)} | |`,
      `| … of it script | ${median(starts.map(({ scriptMs }) => scriptMs)).toFixed(0)} | |`,
    ]),
    ...seconds[ROUNDS - 1].functions.map(([name, ms]) => `| ${name} | ${ms.toFixed(0)} | |`),
  ];
  console.log(lines.join('\n'));
});

async function start(session: Session): Promise<Start> {
  await session.send('Profiler.start');
  const begun = performance.now();
  let weightsMs = 0;
  let last: LoadProgress | undefined;
  const engine = await Engine.load({
    model: MODEL,
    gpu: navigator.gpu,
    store: 'indexeddb',
    contextLength: 512,
    onProgress: (progress) => {
      last = progress;
      if (weightsMs === 0 && progress.totalBytes > 0 && progress.loadedBytes === progress.totalBytes) {
        weightsMs = performance.now() - begun;
      }
    },
  });
  const ms = performance.now() - begun;
  const { profile } = await session.send('Profiler.stop');
  await engine.dispose();
  const functions = scriptTimes(profile);
  const scriptMs = [...functions.values()].reduce((sum, each) => sum + each, 0);
  return {
    ms,
    weightsMs,
    scriptMs,
    bytes: last!.loadedBytes,
    networkBytes: last!.networkBytes,
    functions: [...functions].sort(([, a], [, b]) => b - a).slice(0, SHOWN_FUNCTIONS),
  };
}

/** Self times, without waiting. */
function scriptTimes({ nodes, samples, timeDeltas }: Profile): Map<string, number> {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = new Map<string, number>();
  samples.forEach((id, i) => {
    const { functionName, url, lineNumber } = frames.get(id)!;
    if (['(idle)', '(program)', '(root)'].includes(functionName)) return;
    const file = url.split('/').at(-1)!.split('?')[0];
    const name = `${functionName || 'anonymous'} ${file}:${lineNumber + 1}`;
    times.set(name, (times.get(name) ?? 0) + timeDeltas[i] / 1000);
  });
  return times;
}

async function readStored(): Promise<number> {
  const store = new IndexedDbStore();
  const file = (await store.find(MODEL))!;
  const { version, chunkBytes } = file;
  const begun = performance.now();
  for (let chunk = 0; chunk * chunkBytes < version.size; chunk++) {
    const length = chunkLength(chunk, chunkBytes, version.size);
    expect((await file.read(chunk, 0, length))?.byteLength).toBe(length);
  }
  const ms = performance.now() - begun;
  store.close();
  return ms;
}

async function upload(bytes: number): Promise<number> {
  const device = await (await navigator.gpu.requestAdapter())!.requestDevice();
  const piece = new Uint8Array(PIECE_BYTES).fill(1);
  const begun = performance.now();
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    const buffer = device.createBuffer({ size: PIECE_BYTES, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
    device.queue.writeBuffer(buffer, 0, piece);
  }
  await device.queue.onSubmittedWorkDone();
  const ms = performance.now() - begun;
  device.destroy();
  return ms;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** Models of full size through our own reader: time, memory and traffic. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../src/model/config.ts';
import { decode } from '../src/text/detokenizer.ts';
import { Tokenizer } from '../src/text/tokenizer.ts';
import { openWeightsWith, type Weights } from '../src/weights/index.ts';
import { type SyntheticName, syntheticShapes } from './synthetic-model.ts';
import { type SyntheticServer, startSyntheticServer } from './synthetic-server.ts';
import { dequantize } from './testing/dequantize.ts';

let server: SyntheticServer;

beforeAll(async () => {
  server = await startSyntheticServer();
});

afterAll(() => server.close());

async function opened<T>(part: string, work: (weights: Weights) => Promise<T>, query = ''): Promise<T> {
  const weights = await openWeightsWith(server.url(part, query), { store: 'none' }, { retryDelayMs: 1 });
  try {
    return await work(weights);
  } finally {
    weights.close();
  }
}

describe.each<[SyntheticName, { part: string; shards: number; gigabytes: number; headerBytes: number }]>([
  ['397b-a17b', { part: '397B-A17B-0000', shards: 6, gigabytes: 228, headerBytes: 20e6 }],
  ['35b-a3b', { part: '35B-A3B.gguf', shards: 1, gigabytes: 21.4, headerBytes: 20e6 }],
])('%s', (name, { part, ...expected }) => {
  const shape = syntheticShapes[name];

  test('opens in bounded time and memory, for the bytes of its headers', async () => {
    server.resetCounts();
    const before = process.memoryUsage().rss;
    const started = performance.now();
    await opened(part, async (weights) => {
      const seconds = (performance.now() - started) / 1000;
      const memory = process.memoryUsage().rss - before;
      console.log(
        `${name}: ${(weights.byteLength / 1e9).toFixed(1)} GB, ${weights.tensors.size} tensors, header in ${seconds.toFixed(2)} s, ` +
          `${server.requests.length} requests, ${(server.bodyBytes / 1e6).toFixed(1)} MB, ${(memory / 1e6).toFixed(0)} MB of memory`,
      );
      expect(weights.byteLength / 1e9).toBeCloseTo(expected.gigabytes, -0.5);
      expect(new Set(server.requests.map(({ file }) => file)).size).toBe(expected.shards);
      expect(seconds).toBeLessThan(60); // about one on an idle machine
      expect(memory).toBeLessThan(500e6);
      expect(server.bodyBytes).toBeLessThan(expected.headerBytes);
      expect(readConfig(weights)).toMatchObject({
        hidden: shape.hidden,
        vocabulary: 248_320,
        ffn: { experts: shape.experts, topK: shape.topK },
      });
    });
  });

  test('an expert costs little more than its bytes', async () => {
    await opened(part, async (weights) => {
      server.resetCounts();
      let needed = 0;
      const experts = [0, 1, 255, shape.experts - 1, 77];
      for (const [i, expert] of experts.entries()) {
        await Promise.all(
          ['gate', 'up', 'down'].map(async (part) => {
            const tensor = weights.tensors.get(`blk.${7 * i}.ffn_${part}_exps.weight`)!;
            const length = tensor.byteLength / shape.experts;
            needed += length;
            const bytes = await tensor.read(expert * length, length, undefined, 'urgent');
            const values = dequantize(tensor.type, bytes.slice(0, 144 * 176 * 4));
            expect(values.every((value) => Math.abs(value) < 0.5)).toBe(true);
            expect(Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)).toBeCloseTo(
              0.02,
              2,
            );
          }),
        );
      }
      console.log(
        `${name}: ${(needed / experts.length / 1e6).toFixed(2)} MB an expert, ` +
          `${(server.bodyBytes / needed).toFixed(2)} times as much fetched, in ${server.requests.length / experts.length} requests each`,
      );
      // Three ranges, each with less than a chunk of 1 MiB at either end.
      expect(server.bodyBytes).toBeLessThan(needed + experts.length * 3 * 2 * 2 ** 20);
    });
  });
});

test('the vocabulary is one that the tokenizer takes', async () => {
  await opened('35B-A3B-4-layers', async (weights) => {
    const tokenizer = new Tokenizer(weights.metadata);
    const ids = tokenizer.encode('Hello, world! 你好');
    expect(ids.length).toBeGreaterThan(4);
    expect(decode(tokenizer, ids)).toBe('Hello, world! 你好');
  });
});

test('different experts have different weights, and the same read gives the same bytes', async () => {
  await opened('397B-A17B-4-layers', async (weights) => {
    const tensor = weights.tensors.get('blk.3.ffn_up_exps.weight')!;
    const length = tensor.byteLength / 512;
    const [a, b, again] = await Promise.all([5, 6, 5].map((expert) => tensor.read(expert * length, length)));
    expect(Buffer.compare(a, again)).toBe(0);
    expect(Buffer.compare(a, b)).not.toBe(0);
    const middle = await tensor.read(5 * length + 1001, 5000);
    expect(Buffer.compare(middle, a.subarray(1001, 6001))).toBe(0);
  });
});

test('trouble on demand does not change the bytes', async () => {
  const name = 'blk.0.ffn_down_exps.weight';
  const read = (query: string) =>
    opened('35B-A3B-4-layers', (weights) => weights.tensors.get(name)!.read(12_345, 20_000_000), query);
  const plain = await read('');
  server.resetCounts();
  expect(Buffer.compare(plain, await read('?fail=3&drop=4&latency=2'))).toBe(0);
  expect(server.requests.some(({ status }) => status === 503)).toBe(true);
  const started = performance.now();
  expect(Buffer.compare(plain, await read('?rate=40'))).toBe(0);
  expect(performance.now() - started).toBeGreaterThan(400);
});

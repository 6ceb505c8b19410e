import { describe, expect, test } from 'vitest';
import { fixture } from '../../tools/testing/fixtures.ts';
import { syntheticTrace, type TraceHabits } from '../../tools/testing/traces.ts';
import { createPolicy, ForecastPolicy, type PolicyKind, policyKinds } from './policy.ts';
import { replay } from './replay.ts';
import { ExpertTrace } from './trace.ts';
import { ExpertUsage } from './usage.ts';

const shape = { layers: 1, experts: 8 };
const none: ReadonlySet<number> = new Set();

function admitAll(kind: PolicyKind, experts: readonly number[]) {
  const policy = createPolicy(kind, shape);
  for (const expert of experts) policy.admitted(0, expert);
  return policy;
}

describe.each(policyKinds)('%s', (kind) => {
  test('displaces an expert that was not used before one that was', () => {
    const policy = admitAll(kind, [1, 2, 3]);
    policy.touch(0, [1, 3], 0);
    expect(policy.victim(0, none)).toBe(2);
  });

  test('never displaces what is pinned, nor the same expert twice', () => {
    const policy = admitAll(kind, [1, 2, 3]);
    policy.touch(0, [1, 2, 3], 0);
    expect(policy.victim(0, new Set([1, 2]))).toBe(3);
    expect(policy.victim(0, new Set([1]))).toBe(2);
    expect(() => policy.victim(0, new Set([1]))).toThrow(RangeError);
    expect(policy.victim(0, none)).toBe(1);
    expect(() => policy.victim(0, none)).toThrow(RangeError);
  });

  test('keeps layers apart', () => {
    const policy = createPolicy(kind, { layers: 2, experts: 8 });
    for (const layer of [0, 1]) for (const expert of [4, 5]) policy.admitted(layer, expert);
    policy.touch(0, [4], 0);
    policy.touch(1, [5], 0);
    expect([policy.victim(0, none), policy.victim(1, none)]).toEqual([5, 4]);
  });

  test('begins with what earlier sessions used most', () => {
    const usage = new ExpertUsage(shape);
    for (let i = 0; i < 3; i++) usage.count(0, [6]);
    usage.count(0, [2, 6]);
    const policy = createPolicy(kind, shape, usage);
    expect(policy.initial(0, 3)).toEqual([6, 2, 0]);
    expect(policy.initial(0, 99)).toHaveLength(8);
    policy.touch(0, [7], 0);
    expect(usage.mostUsed(0, 8).slice(0, 3)).toEqual([6, 2, 7]);
  });

  test('lets old fame fade', () => {
    const policy = admitAll(kind, [1, 2]);
    for (let token = 0; token < 2000; token++) policy.touch(0, [1], token);
    for (let token = 2000; token < 6000; token++) policy.touch(0, [2], token);
    expect(policy.victim(0, none)).toBe(1);
  });
});

/** Hits of the needed experts, with `slots` a layer. */
function hitRates(habits: Omit<TraceHabits, 'tokens' | 'seed'>, slots: number) {
  const trace = syntheticTrace({ layers: 3, experts: 128, chosen: 8 }, { tokens: 1500, seed: 7, ...habits });
  const rate = (kind: PolicyKind) => replay(trace, createPolicy(kind, trace.shape), slots).hitRate;
  return { lru: rate('lru'), lfu: rate('lfu'), forecast: rate('forecast') };
}

test.each<[string, Omit<TraceHabits, 'tokens' | 'seed'>]>([
  ['a fixed skew', { skew: 0.9 }],
  ['drifting topics', { skew: 0.9, topical: 0.6, topicTokens: 150 }],
  ['drifting topics with repeats', { skew: 0.7, topical: 0.5, topicTokens: 200, sticky: 8 }],
  ['a weak skew with strong repeats', { skew: 0.3, sticky: 30 }],
])('the forecast beats LRU, and is never worse than LFU by more than what it takes to learn, with %s', (_, habits) => {
  for (const slots of [16, 32, 64]) {
    const { lru, lfu, forecast } = hitRates(habits, slots);
    expect(forecast, `${slots} slots: lru ${lru}, lfu ${lfu}`).toBeGreaterThanOrEqual(lfu - 0.006);
    expect(forecast).toBeGreaterThan(lru);
  }
});

test('on what a trained model’s routers chose, the forecast has no fewer hits than LRU with any slots, and more than both in sum', async () => {
  const file = await fixture('../bench/experts/traces/tiny.trace');
  const trace = ExpertTrace.fromBytes(new Uint8Array(await file.arrayBuffer()));
  const { experts, chosen } = trace.shape;
  const sums = { lru: 0, lfu: 0, forecast: 0 };
  for (let slots = chosen; slots < experts; slots += 2) {
    const hits = (kind: PolicyKind) => replay(trace, createPolicy(kind, trace.shape), slots).hits;
    const found = { lru: hits('lru'), lfu: hits('lfu'), forecast: hits('forecast') };
    expect(found.forecast, `${slots} slots: lru ${found.lru}`).toBeGreaterThanOrEqual(found.lru);
    for (const kind of policyKinds) sums[kind] += found[kind];
  }
  expect(sums.forecast).toBeGreaterThan(Math.max(sums.lru, sums.lfu));
});

test('the forecast learns which memory serves: short ones for topics, long ones for fixed habits', () => {
  const share = (habits: Omit<TraceHabits, 'tokens' | 'seed'>) => {
    const trace = syntheticTrace({ layers: 1, experts: 64, chosen: 4 }, { tokens: 3000, seed: 3, ...habits });
    const policy = new ForecastPolicy(trace.shape, new ExpertUsage(trace.shape));
    for (let token = 0; token < trace.tokens; token++) policy.touch(0, trace.at(token, 0), token);
    const weights = policy.weights(0);
    expect(weights.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1);
    return weights.filter(({ halfLife }) => halfLife <= 64).reduce((sum, { weight }) => sum + weight, 0);
  };
  expect(share({ skew: 1.2 })).toBeLessThan(0.3);
  expect(share({ skew: 1.2, topical: 1, topicTokens: 100 })).toBeGreaterThan(0.5);
});

test('counts of use survive as bytes, and only for the same shape', () => {
  const usage = new ExpertUsage({ layers: 2, experts: 3 });
  usage.count(1, [2, 2, 0]);
  const bytes = usage.toBytes();
  expect(ExpertUsage.fromBytes(bytes, usage.shape)?.mostUsed(1, 3)).toEqual([2, 0, 1]);
  expect(ExpertUsage.fromBytes(bytes, { layers: 3, experts: 2 })).toBeUndefined();
  expect(ExpertUsage.fromBytes(bytes.slice(4), usage.shape)).toBeUndefined();
  const damaged = bytes.slice();
  new DataView(damaged.buffer).setFloat32(8, Number.NaN, true);
  expect(ExpertUsage.fromBytes(damaged, usage.shape)).toBeUndefined();
});

test('old counts are scaled down, so that new sessions count for something', () => {
  const usage = new ExpertUsage({ layers: 1, experts: 2 }, new Float32Array([1e6, 5e5]));
  const aged = ExpertUsage.fromBytes(usage.toBytes(), usage.shape)!;
  expect(aged.shares(0)[0]).toBeCloseTo(2 / 3);
  for (let i = 0; i < 6000; i++) aged.count(0, [1]);
  expect(aged.mostUsed(0, 1)).toEqual([1]);
});

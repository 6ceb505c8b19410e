/**
 * Decoding 397B-A17B with a part of its experts in GPU memory, simulated: hit rate, time lost to fetching, tokens a second,
 * for each policy, number of slots and speed of the store.
 *
 *     npx vitest run --config bench/vitest.config.ts bench/experts
 *
 * TOKENS=2000 sets the length; TRACES=a.trace,b.trace adds recorded ones. Prints the tables of docs/performance.md and
 * writes docs/experts.svg. No GPU is involved: the times come from bytes and bandwidths (model-397b.ts).
 */
import { writeFileSync } from 'node:fs';
import { test } from 'vitest';
import { createPolicy } from '../../src/experts/policy.ts';
import { replay } from '../../src/experts/replay.ts';
import { ExpertUsage } from '../../src/experts/usage.ts';
import { BeladyPolicy } from './belady.ts';
import {
  bytes,
  computeSeconds,
  experts,
  foreseenSeconds,
  layers,
  macStudio,
  ROUND_TRIP_SECONDS,
  tokenSeconds,
  topK,
} from './model-397b.ts';
import { plot, type Series } from './plot.ts';
import { type NamedTrace, traces } from './traces.ts';

const tokens = Number(process.env.TOKENS ?? 2000);
/** Part of the tokens, at the start, that fill the slots and teach the policies: not counted. */
const WARM_UP = 1 / 4;
const SIMULATED_LAYERS = 6;
const SHARES = [0.25, 0.5, 0.625, 0.75, 0.82, 0.9, 0.95];
const POLICIES = { lru: 'LRU', lfu: 'LFU with ageing', forecast: 'forecast', belady: 'Belady' } as const;
type Policy = keyof typeof POLICIES;
const STORES = [0.5e9, 1e9, 3e9, 6e9];

interface Outcome {
  readonly slots: number;
  readonly hitRate: number;
  /** Per token, over all layers of 397B. */
  readonly misses: number;
  readonly stalledLayers: number;
}

test('decoding with a part of the experts', { timeout: 3_600_000 }, () => {
  const shape = { layers: SIMULATED_LAYERS, experts, chosen: topK };
  const named = traces(shape, tokens, process.env.TRACES?.split(',') ?? []);
  console.log([...roofline(), ...named.flatMap((trace) => ['', ...hitRates(trace), '', ...speeds(trace)])].join('\n'));
  writeFileSync(
    new URL('../../docs/experts.svg', import.meta.url),
    plot(named.flatMap(lines), {
      title: '397B-A17B, decoding: tokens a second by the part of the experts in GPU memory',
      x: 'experts in GPU memory, %',
      y: 'tok/s, store at 3 GB/s',
      line: { value: 1 / computeSeconds(macStudio), label: 'all resident, a quarter of 819 GB/s' },
    }),
  );
});

function roofline(): string[] {
  const { gpuBytesPerSecond, efficiency } = macStudio;
  const seconds = computeSeconds(macStudio);
  return [
    `An expert is ${(bytes.expert / 1e6).toFixed(2)} MB, all ${gigabytes(bytes.routed)}, the rest ${gigabytes(bytes.shared)}; ` +
      `a token reads ${gigabytes(bytes.tokenExperts)} of experts and ${gigabytes(bytes.tokenShared)} of the rest.`,
    `Roofline at ${gigabytes(gpuBytesPerSecond)}/s: ${(1 / (seconds * efficiency)).toFixed(0)} tok/s; ` +
      `at ${100 * efficiency} % of it ${(1 / seconds).toFixed(1)}. A layer that waits costs ${ROUND_TRIP_SECONDS * 1000} ms besides the bytes.`,
  ];
}

function hitRates(trace: NamedTrace): string[] {
  return [
    `**${trace.name}** (${trace.note}): hit rate`,
    '',
    ...table(
      ['slots a layer', 'GPU memory for experts', ...Object.values(POLICIES)],
      SHARES.map((share) => {
        const outcomes = (Object.keys(POLICIES) as Policy[]).map((policy) => simulate(policy, trace, share));
        const rates = outcomes.map(({ hitRate }) => `${(100 * hitRate).toFixed(1)} %`);
        return [String(outcomes[0].slots), gigabytes(share * bytes.routed), ...rates];
      }),
    ),
  ];
}

function speeds(trace: NamedTrace): string[] {
  const seconds = computeSeconds(macStudio);
  return [
    `${trace.name}, forecast: tok/s by the store's speed (ms a token lost to fetching)`,
    '',
    ...table(
      ['slots', 'misses a token', ...STORES.map((rate) => `${rate / 1e9} GB/s`), '3 GB/s, all foreseen'],
      SHARES.map((share) => {
        const { slots, misses, stalledLayers } = simulate('forecast', trace, share);
        const cell = (time: number) => `${(1 / time).toFixed(1)} (${(1000 * (time - seconds)).toFixed(0)})`;
        return [
          String(slots),
          misses.toFixed(1),
          ...STORES.map((rate) => cell(tokenSeconds(macStudio, rate, misses, stalledLayers))),
          cell(foreseenSeconds(macStudio, macStudio.storeBytesPerSecond, misses)),
        ];
      }),
    ),
  ];
}

/** The drifting trace shows the policies, the others what the routers' habits do. */
function lines(trace: NamedTrace): Series[] {
  const rate = macStudio.storeBytesPerSecond;
  const line = (what: string, policy: Policy, time: (outcome: Outcome) => number): Series => ({
    name: `${trace.name}, ${what}`,
    points: SHARES.map((share) => [share * 100, 1 / time(simulate(policy, trace, share))] as const),
  });
  const waiting = ({ misses, stalledLayers }: Outcome) => tokenSeconds(macStudio, rate, misses, stalledLayers);
  if (trace.name !== 'drifting') return [line('forecast', 'forecast', waiting)];
  return [
    line('LRU', 'lru', waiting),
    line('forecast', 'forecast', waiting),
    line('Belady', 'belady', waiting),
    line('forecast, foreseen', 'forecast', ({ misses }) => foreseenSeconds(macStudio, rate, misses)),
  ];
}

const known = new Map<string, Outcome>();

function simulate(policy: Policy, { name, trace }: NamedTrace, share: number): Outcome {
  const key = `${policy} ${name} ${share}`;
  const seen = known.get(key);
  if (seen) return seen;
  const { shape } = trace;
  const slots = Math.max(Math.round(share * shape.experts), shape.chosen);
  const rule = policy === 'belady' ? new BeladyPolicy(trace) : createPolicy(policy, shape, new ExpertUsage(shape));
  const { missesByToken, stallsByToken } = replay(trace, rule, slots);
  const mean = (values: Uint16Array) => {
    const counted = values.subarray(Math.floor(values.length * WARM_UP));
    return counted.reduce((a, b) => a + b, 0) / counted.length;
  };
  const misses = mean(missesByToken);
  // Layers are alike, and a recorded trace of another model stands for 397B by its rates.
  const outcome = {
    slots,
    hitRate: 1 - misses / (shape.layers * shape.chosen),
    misses: ((misses * layers) / shape.layers) * (topK / shape.chosen),
    stalledLayers: (mean(stallsByToken) * layers) / shape.layers,
  };
  known.set(key, outcome);
  return outcome;
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}

function gigabytes(count: number): string {
  return `${(count / 1e9).toFixed(count < 50e9 ? 2 : 0)} GB`;
}

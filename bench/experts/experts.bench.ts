/**
 * Decoding 397B-A17B with a part of its experts in GPU memory, simulated: hit rate, time lost to fetching, tokens a second,
 * for each policy, number of slots and speed of the store.
 *
 *     npx vitest run --config bench/vitest.config.ts bench/experts
 *
 * TOKENS=2000 sets the length; TRACES=a.trace,b.trace are the recorded ones (bench/router-traces.bench.ts makes them), and
 * the first of them is what the fitted trace is fitted to. Writes docs/experts.svg and, without
 * TRACES, the tables of docs/performance.md. No GPU is involved: the times come from bytes and bandwidths (model-397b.ts).
 */
import { writeFileSync } from 'node:fs';
import { test } from 'vitest';
import { createPolicy } from '../../src/experts/policy.ts';
import { replay } from '../../src/experts/replay.ts';
import type { TraceShape } from '../../src/experts/trace.ts';
import { ExpertUsage } from '../../src/experts/usage.ts';
import { BeladyPolicy } from './belady.ts';
import { table, writeTables } from './docs.ts';
import { type Fit, habitWords, nearestFits } from './fit.ts';
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
import { STATISTICS_HEADS, statistics, statisticsCells } from './statistics.ts';
import { invent, inventionOf, inventions, type NamedTrace, readTrace } from './traces.ts';

const tokens = Number(process.env.TOKENS ?? 2000);
/** Part of the tokens, at the start, that fill the slots and teach the policies: not counted. */
const WARM_UP = 1 / 4;
const SIMULATED_LAYERS = 6;
const SHARES = [0.25, 0.5, 0.625, 0.75, 0.82, 0.9, 0.95];
/** Of a recorded trace, whose model may have few experts. */
const RECORDED_SHARES = [0.25, 0.375, 0.5, 0.625, 0.75, 0.875];
const FITS = 8;
const FITS_SHARES = [0.5, 0.82, 0.9];
const recordings = (process.env.TRACES ?? 'bench/experts/traces/tiny.trace').split(',');
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
  const recorded = recordings.map(readTrace);
  const fits = nearestFits(recorded[0].trace, FITS);
  const invented = [...inventions, inventionOf(fits[0], 'fitted')];
  const named = invented.map((invention) => invent(shape, tokens, invention));
  const alike = invented.map((invention) => invent(recorded[0].trace.shape, recorded[0].trace.tokens, invention));
  const lines = [
    ...roofline(),
    ...recorded.flatMap((trace) => ['', ...hitRates(trace, RECORDED_SHARES)]),
    '',
    `Habits of the recorded trace (${recorded[0].name}), and of invented ones of its shape`,
    '',
    ...habits([...recorded, ...alike]),
    '',
    'Habits of the invented traces in the shape of 397B',
    '',
    ...habits(named),
    '',
    'What the fits nearest to the recorded trace say of 397B: hit rate of the forecast',
    '',
    ...fitted(fits, shape),
    ...named.flatMap((trace) => ['', ...hitRates(trace, SHARES), '', ...speeds(trace)]),
  ];
  console.log(lines.join('\n'));
  if (process.env.TRACES === undefined) writeTables('bench/experts', lines);
  writeFileSync(
    new URL('../../docs/experts.svg', import.meta.url),
    plot(named.flatMap(series), {
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

function habits(named: readonly NamedTrace[]): string[] {
  return table(
    ['trace', ...STATISTICS_HEADS],
    named.map(({ name, trace }) => [name, ...statisticsCells(statistics(trace))]),
  );
}

function fitted(fits: readonly Fit[], shape: TraceShape): string[] {
  return table(
    ['habits', 'off, points', ...FITS_SHARES.map((share) => `${Math.round(share * experts)} slots`)],
    fits.map((fit, i) => {
      const trace = invent(shape, tokens, inventionOf(fit, `fit ${i}`));
      const rates = FITS_SHARES.map((share) => `${(100 * simulate('forecast', trace, share).hitRate).toFixed(1)} %`);
      return [habitWords(fit.habits), (100 * fit.off).toFixed(1), ...rates];
    }),
  );
}

function hitRates(trace: NamedTrace, shares: readonly number[]): string[] {
  const of397b = trace.trace.shape.experts === experts;
  return [
    `**${trace.name}** (${trace.note}): hit rate`,
    '',
    ...table(
      ['slots a layer', of397b ? 'GPU memory for experts' : 'part of the experts', ...Object.values(POLICIES)],
      shares.map((share) => {
        const outcomes = (Object.keys(POLICIES) as Policy[]).map((policy) => simulate(policy, trace, share));
        const rates = outcomes.map(({ hitRate }) => `${(100 * hitRate).toFixed(1)} %`);
        const part = of397b ? gigabytes(share * bytes.routed) : `${100 * share} %`;
        return [String(outcomes[0].slots), part, ...rates];
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
function series(trace: NamedTrace): Series[] {
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
  // Layers of invented traces are alike, so a few stand for all.
  const outcome = {
    slots,
    hitRate: 1 - misses / (shape.layers * shape.chosen),
    misses: (misses * layers) / shape.layers,
    stalledLayers: (mean(stallsByToken) * layers) / shape.layers,
  };
  known.set(key, outcome);
  return outcome;
}

function gigabytes(count: number): string {
  return `${(count / 1e9).toFixed(count < 50e9 ? 2 : 0)} GB`;
}

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
import { createPolicy, type PolicyKind } from '../../src/experts/policy.ts';
import { replay } from '../../src/experts/replay.ts';
import { ExpertUsage } from '../../src/experts/usage.ts';
import { BeladyPolicy } from './belady.ts';
import {
  bytes,
  computeSeconds,
  experts,
  layers,
  macStudio,
  ROUND_TRIP_SECONDS,
  tokenSeconds,
  topK,
} from './model-397b.ts';
import { plot } from './plot.ts';
import { type NamedTrace, traces } from './traces.ts';

const tokens = Number(process.env.TOKENS ?? 2000);
/** Tokens at the start that fill the slots and teach the policies: not counted. */
const WARM_UP = Math.floor(tokens / 4);
const SIMULATED_LAYERS = 6;
const SHARES = [0.25, 0.5, 0.625, 0.75, 0.85, 0.9, 0.95];
const STORES = [
  ['0.5 GB/s', 0.5e9],
  ['1 GB/s', 1e9],
  ['3 GB/s', 3e9],
  ['6 GB/s', 6e9],
] as const;

interface Outcome {
  readonly hitRate: number;
  /** Per token, over all layers. */
  readonly misses: number;
  readonly stalledLayers: number;
}

test('decoding with a part of the experts', { timeout: 3_600_000 }, () => {
  const named = traces(
    { layers: SIMULATED_LAYERS, experts, chosen: topK },
    tokens,
    process.env.TRACES?.split(',') ?? [],
  );
  const out: string[] = [];
  const drawn: { name: string; points: [number, number][] }[] = [];
  out.push(
    `397B-A17B: an expert is ${(bytes.expert / 1e6).toFixed(2)} MB, all ${(bytes.routed / 1e9).toFixed(0)} GB, the rest ${(bytes.shared / 1e9).toFixed(1)} GB; ` +
      `a token reads ${(bytes.tokenExperts / 1e9).toFixed(2)} GB of experts and ${(bytes.tokenShared / 1e9).toFixed(2)} GB of the rest.`,
    `Roofline on 819 GB/s: ${(1 / (computeSeconds(macStudio) * macStudio.efficiency)).toFixed(0)} tok/s; at a quarter of it ${(1 / computeSeconds(macStudio)).toFixed(0)}.`,
  );
  for (const { name, note, trace } of named) {
    out.push(
      '',
      `**${name}** (${note}): hit rate`,
      '',
      `| slots a layer | GPU memory for experts | LRU | LFU with ageing | forecast | Belady |`,
      '|---|---|---|---|---|---|',
    );
    for (const share of SHARES) {
      const slots = Math.round(share * trace.shape.experts);
      const cells = (['lru', 'lfu', 'forecast', 'belady'] as const).map((kind) =>
        simulate(kind, { name, note, trace }, slots),
      );
      out.push(
        `| ${slots} | ${((share * bytes.routed) / 1e9).toFixed(0)} GB | ${cells.map(({ hitRate }) => `${(100 * hitRate).toFixed(1)} %`).join(' | ')} |`,
      );
    }
    out.push(
      '',
      `${name}, forecast: tok/s by the store's speed (ms a token lost to fetching)`,
      '',
      `| slots | misses a token | ${STORES.map(([label]) => label).join(' | ')} |`,
      `|---|---|${STORES.map(() => '---|').join('')}`,
    );
    for (const share of SHARES) {
      const { misses, stalledLayers } = simulate(
        'forecast',
        { name, note, trace },
        Math.round(share * trace.shape.experts),
      );
      const cells = STORES.map(([, rate]) => {
        const seconds = tokenSeconds(macStudio, rate, misses, stalledLayers);
        return `${(1 / seconds).toFixed(1)} (${(1000 * (seconds - computeSeconds(macStudio))).toFixed(0)})`;
      });
      out.push(`| ${Math.round(share * trace.shape.experts)} | ${misses.toFixed(1)} | ${cells.join(' | ')} |`);
    }
    for (const kind of name === 'drifting' ? (['lru', 'forecast', 'belady'] as const) : (['forecast'] as const)) {
      drawn.push({
        name: `${name}, ${kind === 'lru' ? 'LRU' : kind === 'belady' ? 'Belady' : kind}`,
        points: SHARES.map((share): [number, number] => {
          const { misses, stalledLayers } = simulate(
            kind,
            { name, note, trace },
            Math.round(share * trace.shape.experts),
          );
          return [share * 100, 1 / tokenSeconds(macStudio, macStudio.storeBytesPerSecond, misses, stalledLayers)];
        }),
      });
    }
  }
  out.push('', `A stalled layer costs ${ROUND_TRIP_SECONDS * 1000} ms besides its bytes (assumed).`);
  writeFileSync(
    new URL('../../docs/experts.svg', import.meta.url),
    plot(drawn, {
      title: '397B-A17B, decoding: tokens a second by the part of the experts in GPU memory',
      x: 'experts in GPU memory, %',
      y: 'tok/s, store at 3 GB/s',
      line: { value: 1 / computeSeconds(macStudio), label: 'all resident, a quarter of 819 GB/s' },
    }),
  );
  console.log(out.join('\n'));
});

const known = new Map<string, Outcome>();

function simulate(kind: PolicyKind | 'belady', { name, trace }: NamedTrace, slots: number): Outcome {
  const key = `${kind} ${name} ${slots}`;
  const seen = known.get(key);
  if (seen) return seen;
  const policy =
    kind === 'belady' ? new BeladyPolicy(trace) : createPolicy(kind, trace.shape, new ExpertUsage(trace.shape));
  const { missesByToken, stallsByToken } = replay(trace, policy, Math.max(slots, trace.shape.chosen));
  const counted =
    tokens > WARM_UP ? missesByToken.subarray(Math.min(WARM_UP, missesByToken.length - 1)) : missesByToken;
  const stalls = stallsByToken.subarray(missesByToken.length - counted.length);
  const mean = (values: Uint16Array) => values.reduce((a, b) => a + b, 0) / values.length;
  const scale = layers / trace.shape.layers;
  const misses = mean(counted);
  const outcome = {
    hitRate: 1 - misses / (trace.shape.layers * trace.shape.chosen),
    misses: misses * scale * (topK / trace.shape.chosen),
    stalledLayers: mean(stalls) * scale,
  };
  known.set(key, outcome);
  return outcome;
}

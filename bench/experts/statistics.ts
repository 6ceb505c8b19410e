/** What a router trace is like: how unevenly experts are used, and how far a token's choice repeats those before it. */
import type { ExpertTrace } from '../../src/experts/trace.ts';

export interface TraceStatistics {
  /** Part of a layer's uses that its most used quarter of the experts has; 0.25 if all are used alike. */
  readonly topQuarter: number;
  /** Experts that would be as many if they were used alike, as part of all: e to the entropy of use. */
  readonly effective: number;
  /** Of a token's experts in a layer, the part that the token before, 16 and 128 before also chose there. */
  readonly repeats: readonly number[];
  /** The same for two tokens of the trace at random: what unevenness alone gives. */
  readonly repeatsByChance: number;
}

export const LAGS = [1, 16, 128] as const;

/** Means over the layers. */
export function statistics(trace: ExpertTrace): TraceStatistics {
  const { layers, experts, chosen } = trace.shape;
  const mean = (of: (layer: number) => number) =>
    Array.from({ length: layers }, (_, layer) => of(layer)).reduce((a, b) => a + b, 0) / layers;
  const shares = Array.from({ length: layers }, (_, layer) => {
    const counts = new Float64Array(experts);
    for (let token = 0; token < trace.tokens; token++) for (const expert of trace.at(token, layer)) counts[expert]++;
    const sum = counts.reduce((a, b) => a + b, 0);
    return counts.map((count) => count / sum).sort((a, b) => b - a);
  });
  const repeats = (lag: number) =>
    mean((layer) => {
      let [same, all] = [0, 0];
      for (let token = lag; token < trace.tokens; token++) {
        const before = trace.at(token - lag, layer);
        const now = trace.at(token, layer);
        same += now.filter((expert) => before.includes(expert)).length;
        all += now.length;
      }
      return same / Math.max(1, all);
    });
  return {
    topQuarter: mean((layer) => shares[layer].subarray(0, experts / 4).reduce((a, b) => a + b, 0)),
    effective: mean(
      (layer) => Math.exp(-shares[layer].reduce((a, p) => a + (p > 0 ? p * Math.log(p) : 0), 0)) / experts,
    ),
    repeats: LAGS.map(repeats),
    // The expert is in another token's choice with probability chosen · share.
    repeatsByChance: mean((layer) => chosen * shares[layer].reduce((a, p) => a + p * p, 0)),
  };
}

export const STATISTICS_HEADS = [
  'uses of the busiest quarter',
  'experts, as if used alike',
  ...LAGS.map((lag) => (lag === 1 ? 'repeats of the token before' : `of ${lag} before`)),
  'of any other',
];

export function statisticsCells({ topQuarter, effective, repeats, repeatsByChance }: TraceStatistics): string[] {
  return [topQuarter, effective, ...repeats, repeatsByChance].map((part) => `${(100 * part).toFixed(1)} %`);
}

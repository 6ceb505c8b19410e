/** Habits of an invented trace under which it has a recorded one's statistics. */
import type { ExpertTrace } from '../../src/experts/trace.ts';
import { syntheticTrace, type TraceHabits } from '../../tools/testing/traces.ts';
import { LAGS, statistics } from './statistics.ts';

export type Habits = Omit<TraceHabits, 'tokens' | 'seed'>;

export interface Fit {
  readonly habits: Habits;
  /** Root mean square of the differences in the statistics. */
  readonly off: number;
}

const SKEWS = [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2];
const STICKY = [1, 1.5, 2, 2.5, 3, 4];
const TOPICAL = [0.3, 0.6, 0.9];
const TOPIC_TOKENS = [16, 32, 64, 128, 256];

/**
 * The nearest on a grid, nearest first; found at the recorded trace's own shape. Several habits are as near as chance allows:
 * what they say of another shape is a range.
 */
export function nearestFits(recorded: ExpertTrace, count: number): Fit[] {
  const wanted = numbers(recorded);
  const shape = { ...recorded.shape, layers: Math.min(4, recorded.shape.layers) };
  const distance = (habits: Habits) => {
    const found = numbers(syntheticTrace(shape, { tokens: 1500, seed: 5, ...habits }));
    return Math.sqrt(found.reduce((sum, value, i) => sum + (value - wanted[i]) ** 2, 0) / found.length);
  };
  const grid = SKEWS.flatMap((skew) =>
    STICKY.flatMap((sticky): Habits[] => [
      { skew, sticky },
      ...TOPICAL.flatMap((topical) => TOPIC_TOKENS.map((topicTokens) => ({ skew, sticky, topical, topicTokens }))),
    ]),
  );
  return grid
    .map((habits) => ({ habits, off: distance(habits) }))
    .sort((a, b) => a.off - b.off)
    .slice(0, count);
}

export function habitWords({ skew, sticky = 1, topical = 0, topicTokens }: Habits): string {
  const topics = topical
    ? `; ${100 * topical} % of the choice follows one of 16 topics, of ${topicTokens} tokens each`
    : '';
  return `Zipf ${skew}${topics}; last token’s experts ${sticky} times likelier`;
}

function numbers(trace: ExpertTrace): number[] {
  const { topQuarter, repeats } = statistics(trace);
  return [topQuarter, ...LAGS.map((_, i) => repeats[i])];
}

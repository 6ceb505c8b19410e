/** Router traces for the simulation: invented ones of 397B's shape, recorded ones, and an invented one with a recorded one's habits. */
import { readFileSync } from 'node:fs';
import { ExpertTrace, type TraceShape } from '../../src/experts/trace.ts';
import { syntheticTrace } from '../../tools/testing/traces.ts';
import { type Fit, type Habits, habitWords } from './fit.ts';

export interface NamedTrace {
  readonly name: string;
  readonly note: string;
  readonly trace: ExpertTrace;
}

export interface Invention {
  readonly name: string;
  readonly note: string;
  readonly habits: Habits & { seed: number };
}

export const inventions: readonly Invention[] = [
  { name: 'even', note: 'every expert alike: the worst case', habits: { seed: 1, skew: 0 } },
  { name: 'skewed', note: 'Zipf 0.7 in an order of each layer’s own, never changing', habits: { seed: 2, skew: 0.7 } },
  {
    name: 'drifting',
    note: 'Zipf 0.9; 60 % of the choice follows one of 16 topics, of 200 tokens each; last token’s experts 3 times likelier',
    habits: { seed: 3, skew: 0.9, topical: 0.6, topicTokens: 200, sticky: 3 },
  },
];

export function inventionOf({ habits }: Fit, name: string): Invention {
  return {
    name,
    note: `${habitWords(habits)}: the recorded trace’s statistics at its own shape`,
    habits: { seed: 4, ...habits },
  };
}

export function invent(shape: TraceShape, tokens: number, { name, note, habits }: Invention): NamedTrace {
  return { name, note, trace: syntheticTrace(shape, { tokens, ...habits }) };
}

export function readTrace(file: string): NamedTrace {
  const trace = ExpertTrace.fromBytes(readFileSync(file));
  const { layers, experts, chosen } = trace.shape;
  const name = file.replace(/^.*\//, '').replace(/\.trace$/, '');
  return { name, note: `recorded: ${trace.tokens} tokens, ${layers} layers, ${chosen} of ${experts} experts`, trace };
}

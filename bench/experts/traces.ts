/** Router traces of 397B's shape with known habits. No recorded ones exist here: a model of that size was never at hand. */
import { readFileSync } from 'node:fs';
import { ExpertTrace, type TraceShape } from '../../src/experts/trace.ts';
import { syntheticTrace } from '../../tools/testing/traces.ts';

export interface NamedTrace {
  readonly name: string;
  readonly note: string;
  readonly trace: ExpertTrace;
}

/**
 * Layers are alike in these traces, so a sixth of them is simulated and counted six times.
 * @param layers simulated; @param files recorded traces to add
 */
export function traces(shape: TraceShape, tokens: number, files: readonly string[]): NamedTrace[] {
  return [
    {
      name: 'even',
      note: 'every expert alike: the worst case',
      trace: syntheticTrace(shape, { tokens, seed: 1, skew: 0 }),
    },
    {
      name: 'skewed',
      note: 'Zipf 0.7 in an order of each layer’s own, never changing',
      trace: syntheticTrace(shape, { tokens, seed: 2, skew: 0.7 }),
    },
    {
      name: 'drifting',
      note: 'Zipf 0.9; 60 % of the choice follows one of 16 topics, of 200 tokens each; last token’s experts 3 times likelier',
      trace: syntheticTrace(shape, { tokens, seed: 3, skew: 0.9, topical: 0.6, topicTokens: 200, sticky: 3 }),
    },
    ...files.map((file) => ({
      name: file.replace(/^.*\//, '').replace(/\.trace$/, ''),
      note: 'recorded',
      trace: ExpertTrace.fromBytes(readFileSync(file)),
    })),
  ];
}

import type { SamplingSettings } from '../../src/text/types.ts';

/** Sampling that always takes the likeliest token. */
export const GREEDY_SAMPLING: SamplingSettings = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: new Map(),
};

import type { EngineStats } from './types.ts';

/** What an engine that has done nothing yet has to tell. */
export const NO_FIGURES: EngineStats = {
  prefillTokensPerSecond: 0,
  decodeTokensPerSecond: 0,
  timeToFirstTokenMs: 0,
  promptTokens: 0,
  reusedTokens: 0,
  completionTokens: 0,
  gpuBytes: 0,
  peakGpuBytes: 0,
  dispatchesPerToken: 0,
  readbackBytesPerToken: 0,
  weightBytesPerToken: 0,
  expertSlots: 0,
  expertHits: 0,
  expertMisses: 0,
  expertStallMs: 0,
  bytesFromNetwork: 0,
  bytesFromStore: 0,
  visionRuns: 0,
  visionCached: 0,
  visionMs: 0,
  draftedTokens: 0,
  acceptedTokens: 0,
};

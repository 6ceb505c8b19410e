/** A trace through a policy: what would have been resident, token by token, without any model. */
import type { ExpertPolicy } from './policy.ts';
import type { ExpertTrace } from './trace.ts';

export interface Replayed {
  hits: number;
  misses: number;
  hitRate: number;
  /** Experts that had to be fetched, per token. */
  missesByToken: Uint16Array;
  /** Layers that had to wait for one, per token. */
  stallsByToken: Uint16Array;
}

/** @param slots of every layer; at least as many as a token chooses */
export function replay(trace: ExpertTrace, policy: ExpertPolicy, slots: number): Replayed {
  const { layers } = trace.shape;
  const missesByToken = new Uint16Array(trace.tokens);
  const stallsByToken = new Uint16Array(trace.tokens);
  const resident = Array.from({ length: layers }, (_, layer) => {
    const first = policy.initial(layer, slots);
    for (const expert of first) policy.admitted(layer, expert);
    return new Set(first);
  });
  let hits = 0;
  let misses = 0;
  for (let token = 0; token < trace.tokens; token++) {
    for (let layer = 0; layer < layers; layer++) {
      const needed = trace.at(token, layer);
      const missing = needed.filter((expert) => !resident[layer].has(expert));
      policy.touch(layer, needed, token);
      const pinned = new Set(needed);
      for (const expert of missing) {
        if (resident[layer].size >= slots) resident[layer].delete(policy.victim(layer, pinned));
        policy.admitted(layer, expert);
        resident[layer].add(expert);
      }
      hits += needed.length - missing.length;
      misses += missing.length;
      missesByToken[token] += missing.length;
      if (missing.length > 0) stallsByToken[token]++;
    }
  }
  return { hits, misses, hitRate: hits / Math.max(1, hits + misses), missesByToken, stallsByToken };
}

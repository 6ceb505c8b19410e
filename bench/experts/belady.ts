import type { ExpertPolicy } from '../../src/experts/policy.ts';
import type { ExpertTrace } from '../../src/experts/trace.ts';

/**
 * Belady's rule: displace what is used again last. It knows the whole trace, so its hit rate is a bound: no policy that
 * fetches what is needed when it is needed does better. (Prefetching hides stalls, it does not save reads.)
 */
export class BeladyPolicy implements ExpertPolicy {
  /** Per layer and expert: tokens that use it, ascending; how many of them are over. */
  readonly #uses: number[][];
  readonly #over: Uint32Array;
  readonly #resident: Set<number>[];
  readonly #experts: number;

  constructor(trace: ExpertTrace) {
    const { layers, experts } = trace.shape;
    this.#experts = experts;
    this.#uses = Array.from({ length: layers * experts }, () => []);
    this.#over = new Uint32Array(layers * experts);
    this.#resident = Array.from({ length: layers }, () => new Set());
    for (let token = 0; token < trace.tokens; token++) {
      for (let layer = 0; layer < layers; layer++) {
        for (const expert of trace.at(token, layer)) this.#uses[layer * experts + expert].push(token);
      }
    }
  }

  touch(layer: number, experts: readonly number[]): void {
    for (const expert of experts) this.#over[layer * this.#experts + expert]++;
  }

  victim(layer: number, pinned: ReadonlySet<number>): number {
    let victim = -1;
    let latest = -1;
    for (const expert of this.#resident[layer]) {
      if (pinned.has(expert)) continue;
      const next = this.#next(layer, expert);
      if (next <= latest) continue;
      latest = next;
      victim = expert;
    }
    this.#resident[layer].delete(victim);
    return victim;
  }

  admitted(layer: number, expert: number): void {
    this.#resident[layer].add(expert);
  }

  /** Those that are needed first. */
  initial(layer: number, slots: number): number[] {
    return Array.from({ length: this.#experts }, (_, expert) => expert)
      .sort((a, b) => this.#next(layer, a) - this.#next(layer, b))
      .slice(0, slots);
  }

  #next(layer: number, expert: number): number {
    const i = layer * this.#experts + expert;
    return this.#uses[i][this.#over[i]] ?? Number.MAX_SAFE_INTEGER;
  }
}

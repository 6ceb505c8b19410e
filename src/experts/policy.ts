/**
 * Which expert of a layer gives up its slot. Every layer has slots of its own, so layers do not compete.
 *
 * The order of calls, per layer and token: `touch` with what the router chose, then for each that is missing `victim`
 * (with all that the step needs pinned) and, once it is uploaded, `admitted`. While there are free slots `victim` is not
 * called.
 */
import { ExpertUsage } from './usage.ts';

export interface ExpertPolicy {
  /** The router of `layer` chose these experts for token number `token`; for a batch of tokens, once with their union. */
  touch(layer: number, experts: readonly number[], token: number): void;
  /**
   * The resident expert to displace. It counts as displaced from here on.
   * @param pinned experts that must stay
   * @throws RangeError if every resident expert is pinned
   */
  victim(layer: number, pinned: ReadonlySet<number>): number;
  /** `expert` is now in a slot. */
  admitted(layer: number, expert: number): void;
  /** The experts to begin with, most useful first; at most `slots`. They are resident only once `admitted`. */
  initial(layer: number, slots: number): number[];
}

export interface PolicyShape {
  readonly layers: number;
  readonly experts: number;
}

export const policyKinds = ['lru', 'lfu', 'forecast'] as const;
export type PolicyKind = (typeof policyKinds)[number];

/** @param usage of earlier sessions; it is counted on in place, so that it can be kept again */
export function createPolicy(kind: PolicyKind, shape: PolicyShape, usage = new ExpertUsage(shape)): ExpertPolicy {
  switch (kind) {
    case 'lru':
      return new LruPolicy(shape, usage);
    case 'lfu':
      return new LfuPolicy(shape, usage);
    case 'forecast':
      return new ForecastPolicy(shape, usage);
  }
}

/** What policies share: who is resident, and a score by which the least valuable goes. */
abstract class ScoringPolicy implements ExpertPolicy {
  /** Tokens seen, per layer: the clock of scores. Token numbers start anew with every conversation. */
  protected readonly clock: Uint32Array;
  readonly #resident: Set<number>[];
  readonly #lastToken: Float64Array;

  constructor(
    protected readonly shape: PolicyShape,
    readonly usage: ExpertUsage,
  ) {
    this.clock = new Uint32Array(shape.layers);
    this.#resident = Array.from({ length: shape.layers }, () => new Set());
    this.#lastToken = new Float64Array(shape.layers).fill(-1);
  }

  touch(layer: number, experts: readonly number[], token: number): void {
    if (token !== this.#lastToken[layer]) {
      this.#lastToken[layer] = token;
      this.clock[layer]++;
    }
    this.used(layer, experts);
    this.usage.count(layer, experts);
  }

  victim(layer: number, pinned: ReadonlySet<number>): number {
    const resident = this.#resident[layer];
    let victim = -1;
    let lowest = Number.POSITIVE_INFINITY;
    for (const expert of resident) {
      if (pinned.has(expert)) continue;
      const score = this.score(layer, expert);
      if (score >= lowest) continue;
      lowest = score;
      victim = expert;
    }
    if (victim < 0) throw new RangeError(`All ${resident.size} resident experts of layer ${layer} are pinned.`);
    resident.delete(victim);
    return victim;
  }

  admitted(layer: number, expert: number): void {
    this.#resident[layer].add(expert);
  }

  initial(layer: number, slots: number): number[] {
    return this.usage.mostUsed(layer, slots);
  }

  /** Experts of the layer that are in slots. */
  protected resident(layer: number): number {
    return this.#resident[layer].size;
  }

  /** Keeps count of a choice; `clock` has moved on to its token already. */
  protected abstract used(layer: number, experts: readonly number[]): void;
  /** The lowest goes first. Finite. */
  protected abstract score(layer: number, expert: number): number;
}

/** Least recently used. */
export class LruPolicy extends ScoringPolicy {
  readonly #lastUse = new Float64Array(this.shape.layers * this.shape.experts);

  protected used(layer: number, experts: readonly number[]): void {
    for (const expert of experts) this.#lastUse[layer * this.shape.experts + expert] = this.clock[layer];
  }

  protected score(layer: number, expert: number): number {
    return this.#lastUse[layer * this.shape.experts + expert];
  }
}

/** Tokens after which the counts of `LfuPolicy` are halved. */
const LFU_HALVING_TOKENS = 256;

/** Least frequently used; counts are halved at intervals, so that old fame fades. Ties go by recency. */
export class LfuPolicy extends ScoringPolicy {
  readonly #count = new Float64Array(this.shape.layers * this.shape.experts);
  readonly #lastUse = new Float64Array(this.shape.layers * this.shape.experts);
  readonly #nextHalving = new Uint32Array(this.shape.layers).fill(LFU_HALVING_TOKENS);

  protected used(layer: number, experts: readonly number[]): void {
    const { experts: perLayer } = this.shape;
    const now = this.clock[layer];
    if (now >= this.#nextHalving[layer]) {
      this.#nextHalving[layer] = now + LFU_HALVING_TOKENS;
      const counts = this.#count.subarray(layer * perLayer, (layer + 1) * perLayer);
      for (let i = 0; i < perLayer; i++) counts[i] /= 2;
    }
    for (const expert of experts) {
      this.#count[layer * perLayer + expert]++;
      this.#lastUse[layer * perLayer + expert] = now;
    }
  }

  protected score(layer: number, expert: number): number {
    const i = layer * this.shape.experts + expert;
    // Recency is below 2^32: it decides between equal counts only (halved counts have few distinct fractions).
    return this.#count[i] + this.#lastUse[i] / 2 ** 40;
  }
}

/** Half-lives, in tokens, of the usage rates that `ForecastPolicy` mixes; the last never fades and holds earlier sessions. */
const HALF_LIVES = [1, 4, 16, 64, 256, 1024, Number.POSITIVE_INFINITY] as const;
const SCALES = HALF_LIVES.length;
/** The forecast is fitted at most so many tokens ahead. */
const LONGEST_LEAD = 16;
/** How fast the mixture's weights follow: a memory of some thirty tokens. */
const LEARNING_RATE = 0.03;
/** Weights stay above this, so that a time scale which was useless can come back. */
const LEAST_WEIGHT = 0.002;
/** Earlier sessions count as so many uses. */
const SEED_USES = 64;
const LARGEST_INCREMENT = 1e200;

/**
 * Displaces the expert least likely to be used in a while, by a forecast that is learned as it goes.
 *
 * How often an expert was used lately says how likely it is soon, but not what "lately" should mean: a topic's experts
 * recur for hundreds of tokens, a language's always. So the rate of use is kept at several half-lives h, each a
 * distribution over the layer's experts: r_h(e) = c_h(e) / Σ c_h. The forecast is their mixture p(e) = Σ_h w_h r_h(e), and
 * every layer fits its weights to what its router chose some tokens after the rates were taken, one step of expectation
 * maximisation a token: w_h ← (1 − η) w_h + η · mean over the chosen e of w_h r_h(e) / p(e). LFU with ageing is one half-life alone.
 *
 * Some tokens: as many as the slots hold besides the present one, which is how long an expert stays whatever the policy.
 * With few slots the next token's repeats decide. With many they say nothing about who should go, and a forecast fitted to
 * them falls below LFU's hit rate: what was used a moment ago is not what is in doubt.
 *
 * Counts are never multiplied down: the increments grow instead (2^(t/h)), which leaves the ratios the same.
 */
export class ForecastPolicy extends ScoringPolicy {
  /** Rates now, and as they were the lead's tokens ago. */
  readonly #now: Rates;
  readonly #then: Rates;
  /** `[layers, scales]` */
  readonly #weights: Float64Array;
  /** Per layer: the choices of the last tokens, which `#then` has not seen. */
  readonly #recent: (readonly number[])[][];
  /** `[scales]` w_h / Σ c_h of the layer that a victim is sought in. */
  readonly #factors = new Float64Array(SCALES);
  #factorsOf = -1;

  constructor(shape: PolicyShape, usage: ExpertUsage) {
    super(shape, usage);
    this.#now = new Rates(shape, usage);
    this.#then = new Rates(shape, usage);
    this.#weights = new Float64Array(shape.layers * SCALES).fill(1 / SCALES);
    this.#recent = Array.from({ length: shape.layers }, () => []);
  }

  /** The weights w_h of a layer. */
  weights(layer: number): { halfLife: number; weight: number }[] {
    return HALF_LIVES.map((halfLife, scale) => ({ halfLife, weight: this.#weights[layer * SCALES + scale] }));
  }

  protected used(layer: number, experts: readonly number[]): void {
    if (experts.length === 0) return;
    this.#factorsOf = -1;
    this.#learn(layer, experts);
    this.#now.add(layer, experts);
    const recent = this.#recent[layer];
    recent.push(experts);
    const lead = Math.min(LONGEST_LEAD, Math.max(1, Math.floor(this.resident(layer) / experts.length) - 1));
    while (recent.length > lead) this.#then.add(layer, recent.shift()!);
  }

  protected score(layer: number, expert: number): number {
    const factors = this.#factors;
    if (this.#factorsOf !== layer) {
      this.#factorsOf = layer;
      for (let scale = 0; scale < SCALES; scale++) {
        factors[scale] = this.#weights[layer * SCALES + scale] / this.#now.sum(layer, scale);
      }
    }
    let likelihood = 0;
    for (let scale = 0; scale < SCALES; scale++) likelihood += factors[scale] * this.#now.count(layer, scale, expert);
    return likelihood;
  }

  #learn(layer: number, experts: readonly number[]): void {
    const weights = this.#weights.subarray(layer * SCALES, (layer + 1) * SCALES);
    const credit = new Float64Array(SCALES);
    const parts = new Float64Array(SCALES);
    for (const expert of experts) {
      let likelihood = 0;
      for (let scale = 0; scale < SCALES; scale++) {
        parts[scale] = (weights[scale] * this.#then.count(layer, scale, expert)) / this.#then.sum(layer, scale);
        likelihood += parts[scale];
      }
      for (let scale = 0; scale < SCALES; scale++) credit[scale] += parts[scale] / likelihood / experts.length;
    }
    let sum = 0;
    for (let scale = 0; scale < SCALES; scale++) {
      weights[scale] = Math.max(LEAST_WEIGHT, weights[scale] + LEARNING_RATE * (credit[scale] - weights[scale]));
      sum += weights[scale];
    }
    for (let scale = 0; scale < SCALES; scale++) weights[scale] /= sum;
  }
}

/** Counts of use c_h(e) that fade with each half-life, up to a factor that is the same for all experts of a layer. */
class Rates {
  /** `[layers, scales, experts]` */
  readonly #counts: Float64Array;
  /** `[layers, scales]`: Σ c over experts, and what the next use adds. */
  readonly #sums: Float64Array;
  readonly #increments: Float64Array;

  constructor(
    private readonly shape: PolicyShape,
    usage: ExpertUsage,
  ) {
    const { layers, experts } = shape;
    this.#counts = new Float64Array(layers * SCALES * experts);
    this.#sums = new Float64Array(layers * SCALES).fill(2 * SEED_USES);
    this.#increments = new Float64Array(layers * SCALES).fill(1);
    for (let layer = 0; layer < layers; layer++) {
      // Begins as the distribution of earlier sessions, evened out: no rate is ever quite zero.
      const seed = usage.shares(layer).map((share) => SEED_USES * (share + 1 / experts));
      for (let scale = 0; scale < SCALES; scale++) this.#counts.set(seed, (layer * SCALES + scale) * experts);
    }
  }

  count(layer: number, scale: number, expert: number): number {
    return this.#counts[(layer * SCALES + scale) * this.shape.experts + expert];
  }

  sum(layer: number, scale: number): number {
    return this.#sums[layer * SCALES + scale];
  }

  /** One token's choice. */
  add(layer: number, experts: readonly number[]): void {
    for (let scale = 0; scale < SCALES; scale++) {
      const at = layer * SCALES + scale;
      const increment = this.#increments[at];
      const counts = this.#counts.subarray(at * this.shape.experts, (at + 1) * this.shape.experts);
      for (const expert of experts) counts[expert] += increment;
      this.#sums[at] += increment * experts.length;
      this.#increments[at] = increment * 2 ** (1 / HALF_LIVES[scale]);
      if (this.#increments[at] > LARGEST_INCREMENT) {
        const down = 1 / this.#increments[at];
        for (let i = 0; i < counts.length; i++) counts[i] *= down;
        this.#sums[at] *= down;
        this.#increments[at] = 1;
      }
    }
  }
}

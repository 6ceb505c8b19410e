/**
 * Chooses the next token from the candidates that the GPU hands over. The order is vLLM's:
 *
 *   penalties (on the GPU) → temperature → min-p → top-k → top-p, renormalised after min-p and top-k → one draw
 *
 * Every cut keeps a beginning of the tokens sorted by logit (ties: the smaller id first), so a few of the largest
 * logits are mostly enough. Where they provably are not, the sampler says so and is called again with all of them; it
 * keeps its random number meanwhile, so the answer does not depend on how many candidates were tried first.
 */

import { QwenError } from '../errors.ts';
import { Random, randomSeed } from './random.ts';
import type { SamplingSettings } from './types.ts';

export interface Candidates {
  /** The tokens of the largest penalised logits (or all tokens), in any order. */
  readonly ids: Uint32Array;
  /** Their logits after penalties. */
  readonly logits: Float32Array;
  /** log Σ exp over the whole vocabulary of the raw logits, at temperature 1. */
  readonly logSumExp: number;
  /** The token of the largest penalised logit of all that may be chosen. */
  readonly argmax: number;
  /** Tokens that may be chosen: the whole vocabulary, or what a mask lets through. */
  readonly vocabularySize: number;
  /** Some of the vocabulary may not, so `logSumExp`, which counts it all, says nothing about the sum of the others. */
  readonly masked?: boolean;
}

export type Choice = { readonly id: number } | 'need-all';

export class Sampler {
  readonly #settings: SamplingSettings;
  readonly #random: Random;
  /** Logits may differ from raw ones, so `logSumExp` says nothing about their sum. */
  readonly #penalised: boolean;
  /** Drawn for a token that is not chosen yet. */
  #draw?: number;

  constructor(settings: SamplingSettings) {
    this.#settings = settings;
    this.#random = new Random(settings.seed ?? randomSeed());
    this.#penalised =
      settings.presencePenalty !== 0 ||
      settings.frequencyPenalty !== 0 ||
      settings.repetitionPenalty !== 1 ||
      settings.logitBias.size > 0;
  }

  /** The likeliest token is always chosen. */
  get isGreedy(): boolean {
    return this.#settings.temperature === 0;
  }

  sample(candidates: Candidates): Choice {
    const { temperature, topK, topP, minP } = this.#settings;
    if (this.isGreedy) return { id: candidates.argmax };

    const { ids, logits, vocabularySize } = candidates;
    const order = byLogit(ids, logits);
    const complete = ids.length >= vocabularySize;
    const max = logits[order[0]];

    // Weights relative to the likeliest token: no overflow, and exact near 1.
    const weights = Float64Array.from(order, (index) => Math.exp((logits[index] - max) / temperature));
    let kept = weights.length;
    let cut = complete; // everything that may be drawn is among the candidates
    if (minP > 0) {
      const beyond = weights.findIndex((weight) => weight < minP);
      if (beyond >= 0) {
        kept = beyond;
        cut = true;
      }
    }
    if (topK > 0 && topK <= kept) {
      kept = topK;
      cut = true;
    }

    const cumulative = new Float64Array(kept);
    let sum = 0;
    for (let i = 0; i < kept; i++) cumulative[i] = sum += weights[i];
    if (!(sum > 0 && sum < Infinity)) {
      throw new QwenError(
        'shader',
        `The model gave logits that are not finite numbers (the first is ${max}). Load with precision 'f32'; if it happens again the file is damaged, or this is a bug.`,
      );
    }
    const outside = cut ? EXACTLY_NOTHING : this.#outside(candidates, max, weights, sum);

    if (topP < 1) {
      const least = beginningOf(cumulative, topP * (sum + outside.least));
      const most = beginningOf(cumulative, topP * (sum + outside.most));
      if (most === undefined || least !== most) return 'need-all';
      return this.#choose(candidates, order, indexAt(cumulative, this.#drawn() * cumulative[most]));
    }
    const draw = this.#drawn();
    const low = indexAt(cumulative, draw * (sum + outside.least));
    const high = indexAt(cumulative, draw * (sum + outside.most));
    if (high >= kept || low !== high) {
      if (!complete) return 'need-all';
      return this.#choose(candidates, order, kept - 1); // rounding at the very end
    }
    return this.#choose(candidates, order, high);
  }

  #drawn(): number {
    this.#draw ??= this.#random.next();
    return this.#draw;
  }

  #choose(candidates: Candidates, order: Uint32Array, at: number): Choice {
    this.#draw = undefined;
    return { id: candidates.ids[order[Math.min(at, order.length - 1)]] };
  }

  /**
   * Bounds of the weight of the tokens that are no candidates but may be kept. None of them is larger than the smallest
   * candidate; without cuts and changes, log Σ exp tells their sum.
   */
  #outside(candidates: Candidates, max: number, weights: Float64Array, sum: number): Bounds {
    const { temperature, topK, minP } = this.#settings;
    const changed = this.#penalised || candidates.masked;
    const tokens = (topK > 0 ? Math.min(topK, candidates.vocabularySize) : candidates.vocabularySize) - weights.length;
    const most = tokens * weights[weights.length - 1];
    if (temperature !== 1 || topK > 0 || minP > 0 || changed) return { least: 0, most };
    const exact = Math.min(Math.max(Math.exp(candidates.logSumExp - max) - sum, 0), most);
    return { least: exact, most: exact };
  }
}

interface Bounds {
  readonly least: number;
  readonly most: number;
}

const EXACTLY_NOTHING: Bounds = { least: 0, most: 0 };

/** Index of the last token of the smallest beginning that reaches `mass`; undefined if none does. */
function beginningOf(cumulative: Float64Array, mass: number): number | undefined {
  const index = cumulative.findIndex((sum) => sum >= mass);
  return index < 0 ? undefined : index;
}

/** Index of the token whose stretch of the cumulative sum holds `point`. */
function indexAt(cumulative: Float64Array, point: number): number {
  let low = 0;
  let high = cumulative.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (cumulative[middle] > point) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Positions sorted by falling logit, then rising id. 248k of them take some 65 ms of one core (Node 20). */
function byLogit(ids: Uint32Array, logits: Float32Array): Uint32Array {
  return Uint32Array.from(ids.keys()).sort((a, b) => logits[b] - logits[a] || ids[a] - ids[b]);
}

import type { Bindable, Recorder } from '../gpu/index.ts';

const LANES = 64;
/** Logits a workgroup looks at. */
const SEGMENT = 2048;
/** As in `lib/top_k.wgsl`. */
const BINS = 2048;
const HEADER = 4;

/** Candidates that every step returns: enough for the usual top-k of 20 and for 20 log probabilities. */
export const CANDIDATES = 64;
/** Places for them; more than wanted may come where keys tie. */
export const CANDIDATE_CAPACITY = 128;

/** Entries of the sparse penalty list; a step with more lets the CPU apply them to all logits. */
export const PENALTY_CAPACITY = 4096;

export const candidateSizes = {
  /** Bytes of the per-workgroup sums. */
  partials: (vocabulary: number) => 8 * Math.ceil(vocabulary / SEGMENT),
  histograms: 4 * 2 * BINS,
  output: 4 * (HEADER + 2 * CANDIDATE_CAPACITY),
  penalties: 4 * (1 + 3 * PENALTY_CAPACITY),
  mask: (vocabulary: number) => 4 * Math.ceil(vocabulary / 32),
} as const;

export interface CandidateTensors {
  /** `[vocabulary]` f32; penalised in place. */
  logits: Bindable;
  /** Count, then (id, scale, shift) per entry; see `penalties.wgsl`. */
  penalties: Bindable;
  partials: Bindable;
  histograms: Bindable;
  /** Out; decode with `readCandidates`. */
  output: Bindable;
  /** `[⌈vocabulary / 32⌉]` u32: the tokens that may come, a bit each; see `mask_logits.wgsl`. Without it all may. */
  mask?: Bindable;
}

/** Log-sum-exp of the raw logits, then penalties, then the mask, which no penalty undoes, then the most likely tokens. */
export function candidates(
  rec: Recorder,
  { logits, penalties, partials, histograms, output, mask }: CandidateTensors,
  vocabulary: number,
  wanted = CANDIDATES,
): void {
  const groups = Math.ceil(vocabulary / SEGMENT);
  const constants = { LANES, SEGMENT };
  rec.dispatch(
    { name: 'logits_stats', constants },
    { logits, partials, histograms, output },
    { count: vocabulary, bins: 2 * BINS },
    [groups],
    { bytes: 4 * vocabulary, flops: 3 * vocabulary },
  );
  rec.dispatch({ name: 'penalties' }, { list: penalties, logits }, { capacity: PENALTY_CAPACITY }, [
    PENALTY_CAPACITY / 64,
  ]);
  if (mask) {
    const cost = { bytes: 4 * vocabulary + vocabulary / 8 };
    rec.dispatch({ name: 'mask_logits' }, { mask, logits }, { count: vocabulary }, [Math.ceil(vocabulary / 64)], cost);
  }
  const k = Math.min(wanted, vocabulary);
  for (const second of [false, true]) {
    rec.dispatch(
      { name: 'top_k_histogram', conditions: { second }, constants },
      { logits, histograms },
      { count: vocabulary, wanted: k },
      [groups],
      { bytes: 4 * vocabulary },
    );
  }
  rec.dispatch(
    { name: 'top_k_collect', constants },
    { logits, partials, histograms, output },
    { count: vocabulary, wanted: k, capacity: CANDIDATE_CAPACITY, groups },
    [groups],
    { bytes: 4 * vocabulary },
  );
}

/**
 * The first of the candidates by falling logit, then rising id, so that a step can read it before the CPU has seen it.
 * @param output of `candidates` @param token out: `[1]` u32; no token's id where no logit is a finite number
 */
export function likeliest(rec: Recorder, output: Bindable, token: Bindable): void {
  rec.dispatch(
    { name: 'likeliest', constants: { LANES } },
    { list: output, token },
    { capacity: CANDIDATE_CAPACITY },
    [1],
    { bytes: 8 * CANDIDATES },
  );
}

export interface CandidateList {
  ids: Uint32Array;
  /** Penalised logits of `ids`. */
  logits: Float32Array;
  /** Of the raw logits of the whole vocabulary. */
  logSumExp: number;
}

/** @param output bytes of the output buffer */
export function readCandidates(output: ArrayBuffer): CandidateList {
  const words = new Uint32Array(output);
  const floats = new Float32Array(output);
  const count = Math.min(words[0] + words[1], CANDIDATE_CAPACITY);
  return {
    ids: words.slice(HEADER, HEADER + count),
    logits: floats.slice(HEADER + CANDIDATE_CAPACITY, HEADER + CANDIDATE_CAPACITY + count),
    logSumExp: floats[2],
  };
}

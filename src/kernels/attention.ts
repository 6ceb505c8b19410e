import { QwenError } from '../errors.ts';
import { type Bindable, type Recorder, range } from '../gpu/index.ts';

/** Sizes of a gated attention layer. */
export interface AttentionDims {
  heads: number;
  kvHeads: number;
  /** D: of queries, keys and values. */
  headDim: number;
  /** Dims that turn with the position (64 of 256). */
  rotaryDim: number;
}

/** Keys and values of one layer, `[kvHeads, capacity, D]` each. */
export interface KvCache {
  k: Bindable;
  v: Bindable;
  capacity: number;
  /** Elements are packed halves instead of f32. */
  f16: boolean;
  /** Binds at most so many kv heads at once, as if the device's binding limit forced it (tests). */
  maxBoundHeads?: number;
}

/** Bytes of keys (or of values) of one token in one head. */
export function kvRowBytes({ headDim }: AttentionDims, f16: boolean): number {
  return headDim * (f16 ? 2 : 4);
}

export interface RopeTensors {
  /** `[T, heads, 2·D]` f32: per head query, then gate. */
  qg: Bindable;
  /** `[T, 2, kvHeads, D]` f32: keys, then values. */
  kv: Bindable;
  /** `[2, D]` f32: norm of q, then of k. */
  norms: Bindable;
  /** `[T, rotaryDim / 2, 2]` f32: cos, sin. */
  rope: Bindable;
  /** Out: `[T, heads, D]` f32. */
  q: Bindable;
}

/** Norms and turns q and k; k and v go into the cache at the step's position. */
export function attentionRope(
  rec: Recorder,
  { heads, kvHeads, headDim, rotaryDim }: AttentionDims,
  { qg, kv, norms, rope, q }: RopeTensors,
  cache: KvCache,
  tokens: number,
  eps: number,
): void {
  for (const bound of boundHeads(rec, kvHeads, headDim, cache)) {
    const queryHeads = bound.first === 0 ? heads : 0;
    rec.dispatch(
      {
        name: 'attention_rope',
        conditions: { kv_f16: cache.f16 },
        constants: { LANES: headDim / 4, ROTARY: rotaryDim },
      },
      { qg, kv, norms, rope, q, k_cache: bound.k, v_cache: bound.v },
      {
        heads,
        kv_heads: kvHeads,
        query_heads: queryHeads,
        first_kv_head: bound.first,
        bound_kv_heads: bound.count,
        capacity: cache.capacity,
        eps,
      },
      [queryHeads + 2 * bound.count, tokens],
    );
  }
}

interface BoundHeads {
  first: number;
  count: number;
  k: Bindable;
  v: Bindable;
}

/** The cache in bindings of as many kv heads as the device's limit allows. */
function boundHeads(rec: Recorder, kvHeads: number, headDim: number, cache: KvCache): BoundHeads[] {
  const headBytes = cache.capacity * headDim * (cache.f16 ? 2 : 4);
  const limit = rec.gpu.limits.maxStorageBufferBindingSize;
  const perBinding = Math.min(kvHeads, cache.maxBoundHeads ?? Math.floor(limit / headBytes));
  if (perBinding < 1) {
    throw new QwenError(
      'device-limit',
      `A context of ${cache.capacity} tokens needs ${headBytes} bytes for one head's keys, but this device binds at most ${limit}. Choose a smaller contextLength.`,
    );
  }
  const bound: BoundHeads[] = [];
  for (let first = 0; first < kvHeads; first += perBinding) {
    const count = Math.min(perBinding, kvHeads - first);
    const slice = (source: Bindable) => {
      const { buffer, offset } = range(source);
      return buffer.slice(offset + first * headBytes, count * headBytes);
    };
    bound.push({ first, count, k: slice(cache.k), v: slice(cache.v) });
  }
  return bound;
}

export interface AttentionPlan {
  /** Runs of keys that are attended to by different workgroups. */
  splits: number;
  splitLength: number;
}

/** Queries for which a long context is cut into splits, so that it still fills the device. */
const SPLIT_TOKENS = 4;
/** Shortest split, in keys, and most splits (their partial results must be merged). */
const MIN_SPLIT = 256;
const MAX_SPLITS = 64;

/** Rows of partial results (splits × tokens) that a split plan may need; other plans need one per token. */
export const MAX_PARTIAL_ROWS = SPLIT_TOKENS * MAX_SPLITS;

/** Few queries: many splits. Many: each workgroup walks all keys, and partial results need no memory. */
export function attentionPlan(tokens: number, capacity: number): AttentionPlan {
  const splitLength = tokens <= SPLIT_TOKENS ? Math.max(MIN_SPLIT, Math.ceil(capacity / MAX_SPLITS)) : capacity;
  return { splits: Math.ceil(capacity / splitLength), splitLength };
}

/** Query rows (tokens × heads of a kv head) a workgroup handles together. */
const ROWS = 8;

export interface AttentionTensors {
  /** `[T, heads, D]` f32. */
  q: Bindable;
  /** For the gates, as in `RopeTensors`. */
  qg: Bindable;
  /** Scratch: `[splits, T, heads, D]` f32. */
  partial: Bindable;
  /** Scratch: `[splits, T, heads, 2]` f32. */
  sums: Bindable;
  /** Out: `[T, heads, D]` f32. */
  y: Bindable;
}

/** Causal attention over the cache, times sigmoid(gate). */
export function attention(
  rec: Recorder,
  { heads, kvHeads, headDim }: AttentionDims,
  { q, qg, partial, sums, y }: AttentionTensors,
  cache: KvCache,
  tokens: number,
  { splits, splitLength }: AttentionPlan = attentionPlan(tokens, cache.capacity),
): void {
  const lanes = headDim / 4;
  const rowTiles = Math.ceil((tokens * (heads / kvHeads)) / ROWS);
  for (const { first, count, k, v } of boundHeads(rec, kvHeads, headDim, cache)) {
    rec.dispatch(
      { name: 'attention', conditions: { kv_f16: cache.f16 }, constants: { LANES: lanes, ROWS } },
      { q, k_cache: k, v_cache: v, out: partial, sums },
      {
        tokens,
        heads,
        kv_heads: kvHeads,
        first_kv_head: first,
        capacity: cache.capacity,
        split_length: splitLength,
        scale: 1 / Math.sqrt(headDim),
      },
      [rowTiles, count, splits],
    );
  }
  rec.dispatch(
    { name: 'attention_combine', constants: { LANES: lanes } },
    { partials: partial, sums, qg, y },
    { splits },
    [tokens * heads],
  );
}

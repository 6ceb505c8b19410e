import { QwenError } from '../errors.ts';
import { type Bindable, type Gpu, type Recorder, range } from '../gpu/index.ts';

/** Sizes of a gated attention layer. */
export interface AttentionDims {
  heads: number;
  kvHeads: number;
  /** D: of queries, keys and values. */
  headDim: number;
  /** Dims that turn with the position (64 of 256). */
  rotaryDim: number;
}

/** How keys and values are kept: f32, halves, or int8 with a half as the scale of each 32 (as ggml's type of that name). */
export type KvType = 'f32' | 'f16' | 'q8_0';

/** Keys and values of one layer, `[kvHeads, capacity, D]` each; a head takes `kvHeadBytes`. */
export interface KvCache {
  k: Bindable;
  v: Bindable;
  capacity: number;
  type: KvType;
  /** Binds at most so many kv heads at once, as if the device's binding limit forced it (tests). */
  maxBoundHeads?: number;
}

/** Bytes of keys (or of values) of one token in one head; layout in `shaders/lib/kv_cache.wgsl`. */
export function kvRowBytes({ headDim }: Pick<AttentionDims, 'headDim'>, type: KvType): number {
  if (type === 'q8_0') return headDim + roundUp(headDim / 16, KV_UNIT);
  return headDim * (type === 'f16' ? 2 : 4);
}

/** Bytes of all keys (or values) of one head: bindings may begin at each. */
export function kvHeadBytes(dims: Pick<AttentionDims, 'headDim'>, type: KvType, capacity: number): number {
  return roundUp(capacity * kvRowBytes(dims, type), BINDING_ALIGNMENT);
}

/** Rows and heads are counted in so many bytes by the kernels. */
const KV_UNIT = 16;

/** The largest `minStorageBufferOffsetAlignment` a device may have. */
const BINDING_ALIGNMENT = 256;

function roundUp(n: number, multiple: number): number {
  return Math.ceil(n / multiple) * multiple;
}

function kvConditions(type: KvType): { kv_f16: boolean; kv_q8_0: boolean } {
  return { kv_f16: type === 'f16', kv_q8_0: type === 'q8_0' };
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
        conditions: kvConditions(cache.type),
        constants: { LANES: headDim / 4, ROTARY: rotaryDim },
      },
      { qg, kv, norms, rope, q, k_cache: bound.k, v_cache: bound.v },
      {
        heads,
        kv_heads: kvHeads,
        query_heads: queryHeads,
        first_kv_head: bound.first,
        bound_kv_heads: bound.count,
        head_stride: bound.headBytes / KV_UNIT,
        eps,
      },
      [queryHeads + 2 * bound.count, tokens],
      {
        bytes:
          tokens * (8 * queryHeads * headDim + 2 * bound.count * (4 * headDim + kvRowBytes({ headDim }, cache.type))),
        flops: 7 * tokens * (queryHeads + bound.count) * headDim,
      },
    );
  }
}

interface BoundHeads {
  first: number;
  count: number;
  headBytes: number;
  k: Bindable;
  v: Bindable;
}

/** The cache in bindings of as many kv heads as the device's limit allows. */
function boundHeads(rec: Recorder, kvHeads: number, headDim: number, cache: KvCache): BoundHeads[] {
  const headBytes = kvHeadBytes({ headDim }, cache.type, cache.capacity);
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
    bound.push({ first, count, headBytes, k: slice(cache.k), v: slice(cache.v) });
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

/** Most query rows (tokens × heads of a kv head) a workgroup handles together. */
const MOST_ROWS = 8;
/** Keys a workgroup scores between barriers, and a lane at a time, so that a query is loaded once for them. */
const MOST_TILE = 256;
const MOST_KEYS = 4;
/** Scores a lane keeps in registers; with more, lavapipe compiles for seconds. */
const MOST_SCORES = 16;

/**
 * Rows of a workgroup, no more than there are. The tile depends on the device alone: rescaling from tile to tile shows in the
 * last bits, and those of a token must not depend on how many are read with it.
 */
function attentionTile({ limits }: Gpu, rows: number, lanes: number): { ROWS: number; TILE: number; KEYS: number } {
  const ROWS = Math.min(MOST_ROWS, 2 ** Math.ceil(Math.log2(rows)));
  const bytes = (tile: number) => 4 * (MOST_ROWS * (4 * lanes + tile + 1) + lanes);
  const TILE = bytes(MOST_TILE) <= limits.maxComputeWorkgroupStorageSize ? MOST_TILE : MOST_TILE / 2;
  return { ROWS, TILE, KEYS: Math.max(1, Math.min(MOST_KEYS, TILE / lanes, MOST_SCORES / ROWS)) };
}

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
  const tile = attentionTile(rec.gpu, tokens * (heads / kvHeads), lanes);
  const rowTiles = Math.ceil((tokens * (heads / kvHeads)) / tile.ROWS);
  for (const { first, count, headBytes, k, v } of boundHeads(rec, kvHeads, headDim, cache)) {
    rec.dispatch(
      { name: 'attention', conditions: kvConditions(cache.type), constants: { LANES: lanes, ...tile } },
      { q, k_cache: k, v_cache: v, out: partial, sums },
      {
        tokens,
        heads,
        kv_heads: kvHeads,
        first_kv_head: first,
        head_stride: headBytes / KV_UNIT,
        split_length: splitLength,
        row_vecs: lanes,
        part_count: lanes / MOST_ROWS,
        scale: 1 / Math.sqrt(headDim),
      },
      [rowTiles, count, splits],
      {
        bytes: tokens * (heads / kvHeads) * count * (headDim + splits * (headDim + 2)) * 4,
        keyBytes: 2 * rowTiles * count * kvRowBytes({ headDim }, cache.type),
        keyFlops: 4 * tokens * (heads / kvHeads) * count * headDim,
      },
    );
  }
  rec.dispatch(
    { name: 'attention_combine', constants: { LANES: lanes } },
    { partials: partial, sums, qg, y },
    { splits },
    [tokens * heads],
    { bytes: tokens * heads * (splits * (headDim + 2) + 2 * headDim) * 4 },
  );
}

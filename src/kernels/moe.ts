import { ABSENT } from '../experts/index.ts';
import type { Bindable, Recorder } from '../gpu/index.ts';
import type { MatmulShape, RoutedTiles } from './matmul.ts';
import type { Routed } from './matvec.ts';

const ROUTER_LANES = 64;

export interface RouterTensors {
  /** `[T, experts + 1]` f32, the last the shared expert's gate. */
  logits: Bindable;
  /** `[experts]` u32: the slot that holds each expert. */
  slotOf: Bindable;
  /** Out: `[T, topK]` u32. */
  slots: Bindable;
  /** Out: `[T, topK]` u32, from word `expertsAt` on. */
  experts: Bindable;
  /** Out: `[T, topK + 1]` f32: weights that sum to `scale`, then the shared expert's. */
  weights: Bindable;
}

export interface RouterOptions {
  expertCount: number;
  topK: number;
  scale?: number;
  /** The step halts with this number + 1 where an expert is in no slot. */
  layer?: number;
  /** Where in `experts` this layer's begin, in words. */
  expertsAt?: number;
}

/** Chooses the top k experts of each token, weighs them and the shared one, and halts the step where one of them is absent. */
export function router(
  rec: Recorder,
  { logits, slotOf, slots, experts, weights }: RouterTensors,
  tokens: number,
  { expertCount, topK, scale = 1, layer = 0, expertsAt = 0 }: RouterOptions,
): void {
  rec.dispatch(
    { name: 'router', constants: { ABSENT, EXPERTS: expertCount, LANES: ROUTER_LANES } },
    { logits, slot_of: slotOf, slots, experts, weights },
    { top_k: topK, scale, layer, experts_at: expertsAt },
    [tokens],
    { bytes: 4 * tokens * (expertCount + 1 + 4 * topK + 1), flops: 4 * tokens * expertCount },
  );
}

/** Most tiles of so many tokens that `pairs` routed pairs can fill: every slot may end in a partial one. */
export function maxExpertTiles(pairs: number, slots: number, tileTokens: number): number {
  return Math.min(pairs, Math.floor(pairs / tileTokens) + slots);
}

/** Bytes of the routing buffer: tiles, then pairs. */
export function routingBytes(pairs: number, slots: number, tileTokens: number): number {
  return 16 * maxExpertTiles(pairs, slots, tileTokens) + 4 * pairs + 16;
}

/** Groups pairs by expert for `expertMatmul`. @param routing scratch of `routingBytes` */
export function expertGroups(
  rec: Recorder,
  routed: Routed,
  slotCount: number,
  routing: Bindable,
  shape: MatmulShape,
): RoutedTiles {
  const maxTiles = maxExpertTiles(routed.pairs, slotCount, shape.tokens);
  rec.dispatch(
    { name: 'expert_groups', constants: { LANES: ROUTER_LANES, SLOTS: slotCount, TILE: shape.tokens } },
    { slots: routed.slots, routing },
    { pairs: routed.pairs, max_tiles: maxTiles },
    [1],
    { bytes: 8 * routed.pairs + 16 * maxTiles },
  );
  return { ...routed, routing, maxTiles, shape };
}

export interface CombineTensors {
  /** `[T, topK, hidden]` f32: outputs of the routed experts. */
  routed: Bindable;
  /** `[T, topK + 1]` f32: of the routed experts, then of the shared one. */
  weights: Bindable;
  /** `[T, hidden]` f32: output of the shared expert. */
  shared: Bindable;
  /** `[T, hidden]` f32: the residual stream, added to. */
  x: Bindable;
}

/** Adds the weighted experts, the shared one among them, to the residual stream. */
export function moeCombine(
  rec: Recorder,
  { routed, weights, shared, x }: CombineTensors,
  tokens: number,
  { hidden, topK }: { hidden: number; topK: number },
): void {
  rec.dispatch(
    { name: 'moe_combine' },
    { routed, weights, shared_out: shared, x },
    { columns: hidden / 4, top_k: topK },
    [Math.ceil(hidden / 4 / 64), tokens],
    { bytes: 4 * tokens * (hidden * (topK + 3) + topK + 1), flops: 2 * tokens * hidden * (topK + 1) },
  );
}

import type { GpuBuffer } from '../gpu/index.ts';
import { attention, attentionPlan, attentionRope, MAX_PARTIAL_ROWS } from '../kernels/attention.ts';
import { deltaChannels, deltaConv, deltaNet, gatedNorm, projectionStride } from '../kernels/delta-net.ts';
import { embed } from '../kernels/embed.ts';
import { expertProduct, MATVEC_TOKENS, matmulShape, product } from '../kernels/matmul.ts';
import { canFuse, matvec } from '../kernels/matvec.ts';
import { expertGroups, moeCombine, router, routingBytes } from '../kernels/moe.ts';
import { rmsNorm } from '../kernels/rms-norm.ts';
import type { ModelConfig } from './config.ts';
import type { Pass } from './pass.ts';
import { arithmetic, expertGatedUnit, gatedUnit, type Normed, normed, projections } from './products.ts';
import type { Scratch } from './scratch.ts';
import type { LayerState, SequenceState } from './state.ts';
import type { AttentionLayer, DeltaNetLayer, GatedMlp, Layer, MoeFfn, TextModel } from './text-model.ts';

/**
 * Records the pass through all layers.
 * @returns the residual stream after the last layer, `[T, hidden]`
 */
export function decoder(pass: Pass, model: TextModel, state: SequenceState): GpuBuffer {
  const { rec, config, scratch, input, tokens } = pass;
  const x = scratch.rows('x', config.hidden); // [T, hidden]
  embed(rec, model.embedding, input.tokens, x, tokens);
  for (const [i, layer] of model.layers.entries()) decoderLayer(pass, layer, i, x, state.layers[i]);
  rec.mark(layerMark(model.layers.length));
  return x;
}

/** One layer: `x += mixer(rms(x))`, then `x += ffn(rms(x))`. @param i names it to the experts' residency */
export function decoderLayer(pass: Pass, layer: Layer, i: number, x: GpuBuffer, state: LayerState): void {
  pass.rec.mark(layerMark(i));
  mixer(pass, layer, normed(pass, x, layer.inputNorm), state);
  pass.rec.mark(feedForwardMark(i));
  feedForward(pass, layer, i, normed(pass, x, layer.ffnNorm));
}

/** The place before a layer, and behind the last. */
export const layerMark = (layer: number) => `layer ${layer}`;
/** The place between a layer's mixer and what feeds forward. */
export const feedForwardMark = (layer: number) => `feed forward ${layer}`;
/** The place behind the router of a layer, where its pairs' slots are known: what a halted pass goes on from. */
export const routedMark = (layer: number) => `routed ${layer}`;
/** The place behind the products of the layer's pairs with their experts. */
export const productsMark = (layer: number) => `products ${layer}`;

/** What the routers decide: `slots` `[T, K]` u32 of the layer at work, `experts` `[layers, T, K]` u32 of the whole pass. */
export function routing(scratch: Scratch, { layers, ffn }: ModelConfig): { slots: GpuBuffer; experts: GpuBuffer } {
  const topK = ffn.kind === 'moe' ? ffn.topK : 0;
  return {
    slots: scratch.rows('routed slots', topK),
    experts: scratch.rows('routed experts', layers.length * topK),
  };
}

/** Logits of `count` rows from `first` of the residual stream, `[count, stride]`. @param stride default: the vocabulary */
export function head(
  pass: Pass,
  model: TextModel,
  x: GpuBuffer,
  logits: GpuBuffer,
  first: number,
  count: number,
  stride?: number,
): void {
  const { rec, config, scratch, f16 } = pass;
  const h = scratch.rows('normed', config.hidden);
  rmsNorm(rec, x, model.outputNorm, h, { rows: count, columns: config.hidden, eps: config.eps, first });
  product(rec, model.output, h, logits, count, { f16, stride });
}

function mixer(pass: Pass, layer: Layer, h: Normed, state: LayerState): void {
  if (layer.kind === 'attention' && state.kind === 'attention') gatedAttention(pass, layer, h, state);
  else if (layer.kind === 'deltaNet' && state.kind === 'deltaNet') gatedDeltaNet(pass, layer, h, state);
  else throw new Error('the state belongs to another model');
}

/** `x += attn_output · (attention(h) · sigmoid(gate))`. Source: qwen35.md §2.1. */
function gatedAttention(pass: Pass, layer: AttentionLayer, h: Normed, cache: LayerState & { kind: 'attention' }): void {
  const { rec, config, scratch, input, tokens } = pass;
  const { attention: dims, eps } = config;
  const { heads, kvHeads, headDim } = dims;
  const qg = scratch.rows('query and gate', heads * 2 * headDim); // [T, heads, 2·D]
  const kv = scratch.rows('key and value', 2 * kvHeads * headDim); // [T, 2, kvHeads, D]
  projections(pass, layer.q, h, qg);
  projections(pass, layer.kv, h, kv);

  const q = scratch.rows('turned query', heads * headDim); // [T, heads, D]
  attentionRope(rec, dims, { qg, kv, norms: layer.norms, rope: input.rope, q }, cache, tokens, eps);
  const plan = attentionPlan(tokens, cache.capacity);
  const rows = Math.max(scratch.maxTokens, MAX_PARTIAL_ROWS);
  const partial = scratch.bytes('attention partial', rows * heads * headDim * 4); // [splits, T, heads, D]
  const sums = scratch.bytes('attention sums', rows * heads * 8); // [splits, T, heads, 2]
  const y = scratch.rows('mixed', heads * headDim); // [T, heads, D]
  attention(rec, dims, { q, qg, partial, sums, y }, cache, tokens, plan);
  const how = arithmetic(pass, y, 'mixed', heads * headDim);
  product(rec, layer.output, y, h.x, tokens, { ...how, accumulate: true });
}

/** `x += ssm_out · (rms(delta rule(h)) · silu(z))`. Source: qwen35.md §2.2. */
function gatedDeltaNet(pass: Pass, layer: DeltaNetLayer, h: Normed, state: LayerState & { kind: 'deltaNet' }): void {
  const { rec, config, scratch, tokens, kept } = pass;
  const { deltaNet: dims, eps } = config;
  const { valueHeads, headDim } = dims;
  const stride = projectionStride(dims);
  const projected = scratch.rows('projected', stride); // [T, qkv | z | alpha | beta]
  projections(pass, layer.projections, h, projected, { stride });

  const convolved = scratch.rows('convolved', deltaChannels(dims)); // [T, channels]
  const gates = scratch.rows('gates', 2 * valueHeads); // [T, Hv, 2]
  const conv = { projected, weight: layer.conv, decay: layer.decay, y: convolved, gates };
  deltaConv(rec, dims, conv, state, tokens, eps);
  const o = scratch.rows('recalled', valueHeads * headDim); // [T, Hv, D]
  deltaNet(rec, dims, { qkv: convolved, gates, projected, o }, state, tokens, { kept });
  const y = scratch.rows('gated', valueHeads * headDim); // [T, Hv, D]
  gatedNorm(rec, dims, { o, projected, weight: layer.norm, y }, tokens, eps);
  const how = arithmetic(pass, y, 'gated', valueHeads * headDim);
  product(rec, layer.output, y, h.x, tokens, { ...how, accumulate: true });
}

function feedForward(pass: Pass, { ffn }: Layer, layer: number, h: Normed): void {
  if (ffn.kind === 'moe') moe(pass, ffn, layer, h);
  else gatedMlp(pass, ffn, h);
}

/** `x += down · (silu(gate · h) · up · h)`. Source: qwen35.md §2.3. */
function gatedMlp(pass: Pass, mlp: GatedMlp, h: Normed): void {
  const inner = gatedUnit(pass, mlp.gateUp, h); // [T, width]
  const how = arithmetic(pass, inner, 'mlp inner', mlp.down.columns);
  product(pass.rec, mlp.down, inner, h.x, pass.tokens, { ...how, accumulate: true });
}

/**
 * What the routers of `count` layers from `first` on would choose for the residual stream as it is, a guess at what they will
 * choose for the one they get. Reads x, and leaves all that a halted pass still needs alone.
 * @param chosen out: `[layers, topK]` u32
 */
export function forecast(pass: Pass, model: TextModel, first: number, count: number, chosen: GpuBuffer): void {
  const { rec, config, scratch } = pass;
  if (config.ffn.kind !== 'moe') return;
  const { experts: expertCount, topK } = config.ffn;
  const layers = model.layers.slice(first, first + count);
  const logits = layers.map((_, i) => scratch.bytes(`foreseen logits ${i}`, (expertCount + 1) * 4));
  const x = scratch.rows('x', config.hidden);
  // Routers halt the step that they are given, and products heed it: so all products come before.
  for (const [i, { ffn, ffnNorm }] of layers.entries()) {
    if (ffn.kind !== 'moe') continue;
    projections(pass, ffn.router, normed(pass, x, ffnNorm, 'foreseen normed'), logits[i]);
  }
  const slots = scratch.bytes('foreseen slots', topK * 4);
  const weights = scratch.bytes('foreseen weights', (topK + 1) * 4);
  for (const [i, { ffn }] of layers.entries()) {
    if (ffn.kind !== 'moe') continue;
    const tensors = { logits: logits[i], slotOf: ffn.slots.buffer, slots, experts: chosen, weights };
    router(rec, tensors, 1, { expertCount, topK, layer: 0, expertsAt: i * topK });
  }
}

/** `x += Σ p_e · expert_e(h) + sigmoid(shared gate · h) · shared(h)`. Source: qwen35.md §2.3. */
function moe(pass: Pass, ffn: MoeFfn, layer: number, h: Normed): void {
  const { rec, config, scratch, tokens, f16 } = pass;
  if (config.ffn.kind !== 'moe') throw new Error('a layer has experts, the model has not');
  const { hidden } = config;
  const { experts: expertCount, topK, expertWidth, scale } = config.ffn;
  const logits = scratch.rows('router logits', expertCount + 1); // [T, E + 1]
  projections(pass, ffn.router, h, logits);
  const pairs = tokens * topK;
  const { slots, experts } = routing(scratch, config);
  const { buffer, at } = pass.choices ?? { buffer: experts, at: layer * pairs };
  const weights = scratch.rows('routed weights', topK + 1); // [T, K + 1]
  const choice = { expertCount, topK, scale, layer, expertsAt: at };
  router(rec, { logits, slotOf: ffn.slots.buffer, slots, experts: buffer, weights }, tokens, choice);

  rec.mark(routedMark(layer));
  const plain = { slots, pairs, xShare: topK };
  const group = () => {
    const shape = matmulShape(rec.gpu, 'narrow', f16, pass.int8 && haveIntegers(ffn.experts));
    const bytes = routingBytes(scratch.maxTokens * topK, ffn.slots.slots, shape.tokens);
    return expertGroups(rec, plain, ffn.slots.slots, scratch.bytes('routing', bytes), shape);
  };
  const routed = tokens > MATVEC_TOKENS ? group() : plain;
  const inner = expertGatedUnit(pass, ffn.experts, h, routed, { topK, width: expertWidth }); // [T·K, width]
  const out = scratch.rows('expert out', topK * hidden); // [T·K, hidden]
  const how = arithmetic(pass, inner, 'expert inner', topK * expertWidth);
  expertProduct(rec, ffn.experts.down, inner, out, { ...routed, xShare: 1 }, how);
  rec.mark(productsMark(layer));

  const { down } = ffn.shared;
  const sharedInner = gatedUnit(pass, ffn.shared.gateUp, h); // [T, shared width]
  const mixture = { routed: out, weights, topK };
  if (tokens <= MATVEC_TOKENS && canFuse(rec.gpu, down, { mixture })) {
    matvec(rec, down, sharedInner, h.x, tokens, { mixture });
    return;
  }
  const shared = scratch.rows('shared out', hidden); // [T, hidden]
  product(rec, down, sharedInner, shared, tokens, arithmetic(pass, sharedInner, 'mlp inner', down.columns));
  moeCombine(rec, { routed: out, weights, shared, x: h.x }, tokens, { hidden, topK });
}

/** Whether all products with a layer's experts may be of small integers: its pairs are grouped once for all of them. */
function haveIntegers(experts: MoeFfn['experts']): boolean {
  const first = 'gateUp' in experts ? [experts.gateUp] : [experts.gate, experts.up];
  return [...first, experts.down].every(({ hasIntegers }) => hasIntegers);
}

import type { GpuBuffer, Recorder } from '../gpu/index.ts';
import { attention, attentionPlan, attentionRope, MAX_PARTIAL_ROWS } from '../kernels/attention.ts';
import { deltaChannels, deltaConv, deltaNet, gatedNorm } from '../kernels/delta-net.ts';
import { embed } from '../kernels/embed.ts';
import { expertProduct, matmulShape, product } from '../kernels/matmul.ts';
import { expertGroups, moeCombine, router, routingBytes } from '../kernels/moe.ts';
import { rmsNorm } from '../kernels/rms-norm.ts';
import { swiglu, swigluFused } from '../kernels/swiglu.ts';
import type { ModelConfig } from './config.ts';
import type { Scratch } from './scratch.ts';
import type { LayerState, SequenceState } from './state.ts';
import type { AttentionLayer, DeltaNetLayer, GatedMlp, Layer, MoeFfn, TextModel } from './text-model.ts';

/** What a pass reads besides the model: filled by the engine before each run. */
export interface PassInput {
  /** `[T]` u32. */
  readonly tokens: GpuBuffer;
  /** `[T, rotary / 2, 2]` f32, from `ropeTable`. */
  readonly rope: GpuBuffer;
}

/** One pass being recorded: T tokens after those that the state has seen. */
export interface Pass {
  readonly rec: Recorder;
  readonly config: ModelConfig;
  readonly scratch: Scratch;
  readonly input: PassInput;
  readonly tokens: number;
  /** Matmul tiles in f16. */
  readonly f16: boolean;
  /** How many of the last tokens the DeltaNet layers keep a state after. Default 1. */
  readonly kept?: number;
  /** Where the router of a pass of one layer says what it chose. Default: `routing` has room for all layers. */
  readonly choices?: { readonly buffer: GpuBuffer; readonly at: number };
}

/** More routed pairs than this are sorted by expert and multiplied in tiles. */
const GROUPED_TOKENS = 4;

/**
 * Records the pass through all layers.
 * @returns the residual stream after the last layer, `[T, hidden]`
 */
export function decoder(pass: Pass, model: TextModel, state: SequenceState): GpuBuffer {
  const { rec, config, scratch, input, tokens } = pass;
  const x = scratch.rows('x', config.hidden); // [T, hidden]
  embed(rec, model.embedding, input.tokens, x, tokens);
  for (const [i, layer] of model.layers.entries()) decoderLayer(pass, layer, i, x, state.layers[i]);
  return x;
}

/** One layer: `x += mixer(rms(x))`, then `x += ffn(rms(x))`. @param i names it to the experts' residency */
export function decoderLayer(pass: Pass, layer: Layer, i: number, x: GpuBuffer, state: LayerState): void {
  mixer(pass, layer, normed(pass, x, layer.inputNorm), x, state);
  feedForward(pass, layer, i, normed(pass, x, layer.ffnNorm), x);
}

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

function normed({ rec, config, scratch, tokens }: Pass, x: GpuBuffer, weight: GpuBuffer): GpuBuffer {
  const h = scratch.rows('normed', config.hidden); // [T, hidden]
  rmsNorm(rec, x, weight, h, { rows: tokens, columns: config.hidden, eps: config.eps });
  return h;
}

function mixer(pass: Pass, layer: Layer, h: GpuBuffer, x: GpuBuffer, state: LayerState): void {
  if (layer.kind === 'attention' && state.kind === 'attention') gatedAttention(pass, layer, h, x, state);
  else if (layer.kind === 'deltaNet' && state.kind === 'deltaNet') gatedDeltaNet(pass, layer, h, x, state);
  else throw new Error('the state belongs to another model');
}

/** `x += attn_output · (attention(h) · sigmoid(gate))`. Source: qwen35.md §2.1. */
function gatedAttention(
  { rec, config, scratch, input, tokens, f16 }: Pass,
  layer: AttentionLayer,
  h: GpuBuffer,
  x: GpuBuffer,
  cache: LayerState & { kind: 'attention' },
): void {
  const { attention: dims, eps } = config;
  const { heads, kvHeads, headDim } = dims;
  const qg = scratch.rows('query and gate', heads * 2 * headDim); // [T, heads, 2·D]
  const kv = scratch.rows('key and value', 2 * kvHeads * headDim); // [T, 2, kvHeads, D]
  const stride = 2 * kvHeads * headDim;
  product(rec, layer.q, h, qg, tokens, { f16 });
  product(rec, layer.k, h, kv, tokens, { f16, stride });
  product(rec, layer.v, h, kv, tokens, { f16, stride, offset: kvHeads * headDim });

  const q = scratch.rows('turned query', heads * headDim); // [T, heads, D]
  attentionRope(rec, dims, { qg, kv, norms: layer.norms, rope: input.rope, q }, cache, tokens, eps);
  const plan = attentionPlan(tokens, cache.capacity);
  const rows = Math.max(scratch.maxTokens, MAX_PARTIAL_ROWS);
  const partial = scratch.bytes('attention partial', rows * heads * headDim * 4); // [splits, T, heads, D]
  const sums = scratch.bytes('attention sums', rows * heads * 8); // [splits, T, heads, 2]
  const y = scratch.rows('mixed', heads * headDim); // [T, heads, D]
  attention(rec, dims, { q, qg, partial, sums, y }, cache, tokens, plan);
  product(rec, layer.output, y, x, tokens, { f16, accumulate: true });
}

/** `x += ssm_out · (rms(delta rule(h)) · silu(z))`. Source: qwen35.md §2.2. */
function gatedDeltaNet(
  { rec, config, scratch, tokens, f16, kept }: Pass,
  layer: DeltaNetLayer,
  h: GpuBuffer,
  x: GpuBuffer,
  state: LayerState & { kind: 'deltaNet' },
): void {
  const { deltaNet: dims, eps } = config;
  const { valueHeads, headDim } = dims;
  const qkv = scratch.rows('qkv', deltaChannels(dims)); // [T, channels]
  const z = scratch.rows('z', valueHeads * headDim); // [T, Hv, D]
  const alphaBeta = scratch.rows('alpha and beta', 2 * valueHeads); // [T, 2, Hv]
  product(rec, layer.qkv, h, qkv, tokens, { f16 });
  product(rec, layer.gate, h, z, tokens, { f16 });
  product(rec, layer.alpha, h, alphaBeta, tokens, { stride: 2 * valueHeads });
  product(rec, layer.beta, h, alphaBeta, tokens, { stride: 2 * valueHeads, offset: valueHeads });

  const convolved = scratch.rows('convolved', deltaChannels(dims)); // [T, channels]
  const gates = scratch.rows('gates', 2 * valueHeads); // [T, Hv, 2]
  const conv = { qkv, weight: layer.conv, alphaBeta, decay: layer.decay, y: convolved, gates };
  deltaConv(rec, dims, conv, state, tokens, eps);
  const o = scratch.rows('recalled', valueHeads * headDim); // [T, Hv, D]
  deltaNet(rec, dims, { qkv: convolved, gates, convInput: qkv, o }, state, tokens, { kept });
  const y = scratch.rows('gated', valueHeads * headDim); // [T, Hv, D]
  gatedNorm(rec, { o, z, weight: layer.norm, y }, tokens * valueHeads, headDim, eps);
  product(rec, layer.output, y, x, tokens, { f16, accumulate: true });
}

function feedForward(pass: Pass, { ffn }: Layer, layer: number, h: GpuBuffer, x: GpuBuffer): void {
  if (ffn.kind === 'moe') moe(pass, ffn, layer, h, x);
  else gatedMlp(pass, ffn, h, x, true);
}

/** `y = down · (silu(gate · h) · up · h)`, or `y += …`. Source: qwen35.md §2.3. */
function gatedMlp(
  { rec, scratch, tokens, f16 }: Pass,
  mlp: GatedMlp,
  h: GpuBuffer,
  y: GpuBuffer,
  accumulate: boolean,
): void {
  const width = mlp.gate.rows;
  const gate = scratch.rows('mlp gate', width); // [T, width]
  const up = scratch.rows('mlp up', width); // [T, width]
  const inner = scratch.rows('mlp inner', width); // [T, width]
  product(rec, mlp.gate, h, gate, tokens, { f16 });
  product(rec, mlp.up, h, up, tokens, { f16 });
  swiglu(rec, gate, up, inner, tokens, width);
  product(rec, mlp.down, inner, y, tokens, { f16, accumulate });
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
  const logits = layers.map((_, i) => scratch.bytes(`foreseen logits ${i}`, expertCount * 4));
  const h = scratch.bytes('foreseen normed', config.hidden * 4);
  const x = scratch.rows('x', config.hidden);
  // Routers halt the step that they are given, and products heed it: so all products come before.
  for (const [i, { ffn, ffnNorm }] of layers.entries()) {
    if (ffn.kind !== 'moe') continue;
    rmsNorm(rec, x, ffnNorm, h, { rows: 1, columns: config.hidden, eps: config.eps });
    product(rec, ffn.router, h, logits[i], 1);
  }
  const slots = scratch.bytes('foreseen slots', topK * 4);
  const weights = scratch.bytes('foreseen weights', topK * 4);
  for (const [i, { ffn }] of layers.entries()) {
    if (ffn.kind !== 'moe') continue;
    const tensors = { logits: logits[i], slotOf: ffn.slots.buffer, slots, experts: chosen, weights };
    router(rec, tensors, 1, { expertCount, topK, layer: 0, expertsAt: i * topK });
  }
}

/** `x += Σ p_e · expert_e(h) + sigmoid(shared gate · h) · shared(h)`. Source: qwen35.md §2.3. */
function moe(pass: Pass, ffn: MoeFfn, layer: number, h: GpuBuffer, x: GpuBuffer): void {
  const { rec, config, scratch, tokens, f16 } = pass;
  if (config.ffn.kind !== 'moe') throw new Error('a layer has experts, the model has not');
  const { experts: expertCount, topK, expertWidth, scale } = config.ffn;
  const logits = scratch.rows('router logits', expertCount); // [T, E]
  product(rec, ffn.router, h, logits, tokens);
  const pairs = tokens * topK;
  const { slots, experts } = routing(scratch, config);
  const { buffer, at } = pass.choices ?? { buffer: experts, at: layer * pairs };
  const weights = scratch.rows('routed weights', topK); // [T, K]
  const choice = { expertCount, topK, scale, layer, expertsAt: at };
  router(rec, { logits, slotOf: ffn.slots.buffer, slots, experts: buffer, weights }, tokens, choice);

  rec.mark(routedMark(layer));
  const plain = { slots, pairs, xShare: topK };
  const group = () => {
    const shape = matmulShape(rec.gpu);
    const bytes = routingBytes(scratch.maxTokens * topK, ffn.slots.slots, shape.tokens);
    return expertGroups(rec, plain, ffn.slots.slots, scratch.bytes('routing', bytes), shape);
  };
  const routed = tokens > GROUPED_TOKENS ? group() : plain;

  const inner = scratch.rows('expert inner', topK * expertWidth); // [T·K, width]
  if ('gateUp' in ffn.experts) {
    const gateUp = scratch.rows('expert gate and up', topK * 2 * expertWidth); // [T·K, 2·width]
    expertProduct(rec, ffn.experts.gateUp, h, gateUp, routed, { f16 });
    swigluFused(rec, gateUp, inner, pairs, expertWidth);
  } else {
    const gate = scratch.rows('expert gate', topK * expertWidth); // [T·K, width]
    const up = scratch.rows('expert up', topK * expertWidth); // [T·K, width]
    expertProduct(rec, ffn.experts.gate, h, gate, routed, { f16 });
    expertProduct(rec, ffn.experts.up, h, up, routed, { f16 });
    swiglu(rec, gate, up, inner, pairs, expertWidth);
  }
  const out = scratch.rows('expert out', topK * config.hidden); // [T·K, hidden]
  expertProduct(rec, ffn.experts.down, inner, out, { ...routed, xShare: 1 }, { f16 });
  rec.mark(productsMark(layer));

  const gate = scratch.rows('shared gate', 1); // [T]
  const shared = scratch.rows('shared out', config.hidden); // [T, hidden]
  product(rec, ffn.sharedGate, h, gate, tokens);
  gatedMlp(pass, ffn.shared, h, shared, false);
  moeCombine(rec, { routed: out, weights, shared, gate, x }, tokens, { hidden: config.hidden, topK });
}

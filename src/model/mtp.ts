import type { GpuBuffer } from '../gpu/index.ts';
import { embed } from '../kernels/embed.ts';
import { product } from '../kernels/matmul.ts';
import { mtpJoin } from '../kernels/mtp.ts';
import { rmsNorm } from '../kernels/rms-norm.ts';
import { decoderLayer } from './decoder.ts';
import type { Pass } from './pass.ts';
import { arithmetic } from './products.ts';
import type { LayerState } from './state.ts';
import type { MtpBlock, TextModel } from './text-model.ts';

export interface MtpInput {
  /** `[T, hidden]` f32: hidden states, each of the token before the one in the pass's input. */
  readonly hidden: GpuBuffer;
  /** They are the main model's residual stream, and still without its output's norm. */
  readonly residual: boolean;
}

/**
 * Records an MTP block over T tokens: row t joins a hidden state with the token behind it. Keys and values go to the place of
 * the former; the input's rotary table is for the position of the latter.
 * @returns its residual stream, `[T, hidden]`: row t is about the token after the one in the pass's input
 */
export function mtp(
  pass: Pass,
  model: TextModel,
  block: MtpBlock,
  cache: LayerState,
  { hidden, residual }: MtpInput,
): GpuBuffer {
  const { rec, config, scratch, input, tokens } = pass;
  const e = mtpEmbeddings(pass); // [T, hidden]
  embed(rec, block.embedding, input.tokens, e, tokens);
  const joined = scratch.rows('MTP joined', 2 * config.hidden); // [T, 2·hidden]
  const { embeddingNorm, hiddenNorm } = block;
  const outputNorm = residual ? model.outputNorm : undefined;
  mtpJoin(rec, { e, h: hidden, embeddingNorm, hiddenNorm, outputNorm, y: joined }, tokens, {
    columns: config.hidden,
    eps: config.eps,
  });
  const x = scratch.rows('MTP x', config.hidden); // [T, hidden]
  product(rec, block.join, joined, x, tokens, arithmetic(pass, joined, 'MTP joined', 2 * config.hidden));
  decoderLayer(pass, block.layer, model.layers.length, x, cache);
  return x;
}

/** Where the embeddings of its tokens go, `[T, hidden]`: those of images are put there before the pass. */
export function mtpEmbeddings({ scratch, config }: Pick<Pass, 'scratch' | 'config'>): GpuBuffer {
  return scratch.rows('MTP embeddings', config.hidden);
}

/**
 * The drafts' logits of `count` rows from `first`.
 * @param x from `mtp` @param hidden out: `[count, hidden]`, what the block's next draft goes on from
 * @param logits out: `[count, vocabulary]`
 */
export function mtpHead(
  { rec, config, f16 }: Pass,
  block: MtpBlock,
  x: GpuBuffer,
  { hidden, logits }: { hidden: GpuBuffer; logits: GpuBuffer },
  first: number,
  count: number,
): void {
  rmsNorm(rec, x, block.outputNorm, hidden, { rows: count, columns: config.hidden, eps: config.eps, first });
  product(rec, block.output, hidden, logits, count, { f16 });
}

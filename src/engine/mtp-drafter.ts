import { type Gpu, type GpuBuffer, Recorder } from '../gpu/index.ts';
import { argmax, argmaxBytes } from '../kernels/mtp.ts';
import { mtp, mtpEmbeddings, mtpHead } from '../model/mtp.ts';
import type { Pass } from '../model/pass.ts';
import { type ImageSpan, ropeTable, sequencePositions } from '../model/rope.ts';
import type { Scratch } from '../model/scratch.ts';
import type { MtpState, SequenceState } from '../model/state.ts';
import type { MtpBlock, TextModel } from '../model/text-model.ts';
import { createStep, HALT_AT, writeStep } from './step-buffer.ts';

export interface MtpDrafterOptions {
  /** Most drafts at a time, at least 1. */
  drafts: number;
  f16: boolean;
  int8?: boolean;
  /** `[vocabulary]` f32, free until the pass behind the drafts makes its own. */
  logits: GpuBuffer;
}

/**
 * Drafts with the model's MTP block, on the GPU: the submit that holds the block's passes also holds the pass that verifies
 * what they propose. Before each pass of the model the block may read the hidden states that wait for it; it must before it
 * drafts, and when there is no more room for them.
 */
export class MtpDrafter {
  /** Of the block's own passes: the one that reads what waits, and one for each further draft. */
  readonly steps: readonly GpuBuffer[];
  /** What is proposed, a word each. */
  readonly proposed: readonly GpuBuffer[];
  /** What the block's router chooses: of the passes for further drafts, then of the reading one. */
  readonly choices: GpuBuffer;
  readonly #gpu: Gpu;
  readonly #model: TextModel;
  readonly #block: MtpBlock;
  readonly #state: MtpState;
  readonly #scratch: Scratch;
  readonly #options: MtpDrafterOptions;
  readonly #tokens: GpuBuffer;
  readonly #ropes: readonly GpuBuffer[];
  /** The block's own, of the draft before. */
  readonly #hidden: GpuBuffer;
  readonly #topK: number;

  constructor(gpu: Gpu, model: TextModel, state: SequenceState, scratch: Scratch, options: MtpDrafterOptions) {
    if (!model.mtp || !state.mtp) throw new Error('the model was loaded without its MTP block');
    this.#gpu = gpu;
    this.#model = model;
    this.#block = model.mtp;
    this.#state = state.mtp;
    this.#scratch = scratch;
    this.#options = options;
    const { ffn, hidden, rope } = model.config;
    const each = Array.from({ length: options.drafts }, (_, i) => i);
    this.steps = each.map((i) => createStep(gpu, `MTP step ${i}`));
    this.proposed = each.map((i) => gpu.createBuffer(`draft ${i}`, 4));
    this.#topK = ffn.kind === 'moe' ? ffn.topK : 0;
    this.choices = gpu.createBuffer('MTP choices', 4 * this.#topK * (options.drafts - 1 + scratch.maxTokens));
    this.#tokens = scratch.rows('MTP tokens', 1);
    this.#ropes = each.map((i) =>
      i === 0 ? scratch.rows('MTP rope', rope.dim) : gpu.createBuffer(`MTP rope ${i}`, rope.dim * 4),
    );
    this.#hidden = gpu.createBuffer('MTP hidden', hidden * 4);
  }

  /** Where images' embeddings go, a row for each waiting token's successor. */
  get embeddings(): GpuBuffer {
    return mtpEmbeddings({ scratch: this.#scratch, config: this.#model.config });
  }

  /** Rows that the block must read before a pass. */
  rowsBefore(position: number, tokens: number, drafts: number): number {
    const waiting = position - this.#state.read;
    return drafts > 0 || waiting + tokens > this.#scratch.maxTokens ? waiting : 0;
  }

  /** The pass over what waits. @param drafts whether it proposes a token */
  record(rows: number, drafts: boolean): Pass {
    const pass = this.#pass(0, rows);
    const x = mtp(pass, this.#model, this.#block, this.#state.cache, { hidden: this.#state.waiting, residual: true });
    if (drafts) this.#propose(pass, x, 0);
    return pass;
  }

  /** The pass for draft `i`, from 1 on: it takes the one before for right. */
  recordNext(i: number): Pass {
    const pass = this.#pass(i, 1);
    const x = mtp(pass, this.#model, this.#block, this.#state.cache, { hidden: this.#hidden, residual: false });
    this.#propose(pass, x, i);
    return pass;
  }

  /** Fills what the passes read. @param tokens of each waiting row, the one behind it */
  write(tokens: Uint32Array<ArrayBuffer>, drafts: number, images: readonly ImageSpan[]): void {
    const gpu = this.#gpu;
    const { rope } = this.#model.config;
    const { read } = this.#state;
    gpu.write(this.#tokens, 0, tokens);
    for (let i = 0; i < Math.max(drafts, 1); i++) {
      const position = i === 0 ? read : read + tokens.length + i - 1;
      const count = i === 0 ? tokens.length : 1;
      writeStep(gpu, this.steps[i], { position });
      gpu.write(this.#ropes[i], 0, ropeTable(rope, sequencePositions(position + 1, count, images)));
    }
  }

  /** Hands on what pass `i` proposes, and whether it was halted. */
  handOn(encoder: GPUCommandEncoder, i: number, drafts: boolean, tokens: GpuBuffer, nextStep: GpuBuffer): void {
    if (drafts) encoder.copyBufferToBuffer(this.proposed[i].buffer, 0, tokens.buffer, 4 * (i + 1), 4);
    encoder.copyBufferToBuffer(this.steps[i].buffer, HALT_AT, nextStep.buffer, HALT_AT, 4);
  }

  /** Where the choices of pass `i` are, in bytes. */
  choicesAt(i: number): number {
    return 4 * this.#topK * (i === 0 ? this.#options.drafts - 1 : i - 1);
  }

  /** Lets the hidden states of a pass wait. @param row behind those that wait already */
  keep(encoder: GPUCommandEncoder, row: number, tokens: number): void {
    const { hidden } = this.#model.config;
    const x = this.#scratch.rows('x', hidden);
    encoder.copyBufferToBuffer(x.buffer, 0, this.#state.waiting.buffer, row * hidden * 4, tokens * hidden * 4);
  }

  dispose(): void {
    for (const buffer of [...this.steps, ...this.proposed, ...this.#ropes.slice(1)]) buffer.dispose();
    this.choices.dispose();
    this.#hidden.dispose();
  }

  #pass(i: number, tokens: number): Pass {
    return {
      rec: new Recorder(this.#gpu, true),
      config: this.#model.config,
      scratch: this.#scratch,
      input: { tokens: i === 0 ? this.#tokens : this.proposed[i - 1], rope: this.#ropes[i] },
      tokens,
      f16: this.#options.f16,
      int8: this.#options.int8,
      choices: { buffer: this.choices, at: this.choicesAt(i) / 4 },
    };
  }

  #propose(pass: Pass, x: GpuBuffer, i: number): void {
    const { logits } = this.#options;
    const { vocabulary } = this.#model.config;
    mtpHead(pass, this.#block, x, { hidden: this.#hidden, logits }, pass.tokens - 1, 1);
    const best = this.#scratch.bytes('MTP best', argmaxBytes(vocabulary));
    argmax(pass.rec, { values: logits, best, index: this.proposed[i] }, vocabulary);
  }
}

import {
  type BufferRange,
  type Gpu,
  type GpuBuffer,
  type Profiler,
  type Program,
  programBytes,
  Recorder,
  type ShaderVariant,
} from '../gpu/index.ts';
import type { KvType } from '../kernels/attention.ts';
import {
  type CandidateList,
  candidateSizes,
  candidates,
  likeliest,
  PENALTY_CAPACITY,
  readCandidates,
} from '../kernels/candidates.ts';
import { decoder, head, routing } from '../model/decoder.ts';
import type { Pass, PassInput } from '../model/pass.ts';
import { type ImageSpan, imageEnd, ropeTable, sequencePositions } from '../model/rope.ts';
import { Scratch } from '../model/scratch.ts';
import { SequenceState } from '../model/state.ts';
import type { TextModel } from '../model/text-model.ts';
import type { PenaltyList } from '../text/index.ts';
import { Foresight } from './foresight.ts';
import { MtpDrafter } from './mtp-drafter.ts';
import { PrefixCache } from './prefix-cache.ts';
import { createReadback, Readback } from './readback.ts';
import { type Stage, Stages } from './stages.ts';
import { createStep, STEP_BYTES, writeStep } from './step-buffer.ts';

/** Most tokens a pass reads. Scratch memory grows with it; beyond some hundreds the matmul gains nothing. */
export const PASS_TOKENS = 256;

/** Rows of logits made at a time when all are wanted. */
const LOGIT_ROWS = 32;

/** Programs kept, by number of tokens: decoding, full passes, and a few prompt tails. */
const PROGRAMS_KEPT = 8;

/**
 * Most drafts at a time: with the token before them, as many as the products read that sum in the same order as for one
 * token, so that what drafts are judged by are the bits of decoding without them.
 */
export const MOST_DRAFTS = 3;

/** Proposes what may come next. */
export interface Drafter {
  /** @param sequence all tokens so far @returns at most `count` tokens */
  propose(sequence: readonly number[], count: number): readonly number[];
}

export interface RunnerOptions {
  contextLength: number;
  /** f16 matmul tiles. */
  f16: boolean;
  /** Products of prompts may round activations to 8 bits. Default false. */
  int8?: boolean;
  /** Default: halves with `f16`, otherwise f32. */
  kv?: KvType;
  /** Memory for snapshots of the state; default: a part of what the device's budget leaves. */
  snapshotBytes?: number;
  /** Reads ahead what the routers of later layers say while a step waits; default true. */
  foresees?: boolean;
  /** Times the dispatches of every pass. */
  profiler?: Profiler;
  /** Most tokens that are drafted at a time, up to `MOST_DRAFTS`. Default 0. */
  drafts?: number;
  /** Drafts instead of the model's MTP block. */
  drafter?: Drafter;
  /** Whether `stepAhead` goes ahead, which takes one more recurrent state; not with drafts. Default false. */
  ahead?: boolean;
}

/** Counters of the last decode step, which with drafts may have given several tokens. */
export interface StepCost {
  dispatches: number;
  readbackBytes: number;
  weightBytes: number;
}

/** An image of the sequence: its tokens' embeddings `[tokens, hidden]` f32 stand in for those of the ids there. */
export interface PlacedImage extends ImageSpan {
  /** Names its content. */
  readonly key: string;
  /** Not needed of an image whose tokens have all been read. */
  readonly embeddings: GpuBuffer | undefined;
}

/** In place of a token id: the embedding kernel finds no such row, and leaves x as it is. */
const NO_TOKEN = 0xffffffff;

/** Bindings begin at multiples of so many floats. */
const ROW_ALIGNMENT = 64;

/**
 * Of which rows a pass chooses candidates: none, the last token's, of all tokens or of those that a mask lets through, or of a
 * pass that verifies drafts the first's or all. A greedy pass chooses the last token's, and of them the token to read next.
 */
type Choice = 'none' | 'last' | 'greedy' | 'masked' | 'first' | 'all';

/** Drafts and what the model says of them. */
export interface Verification {
  readonly drafts: readonly number[];
  /** For the token behind the last certain one, and, where all were asked for, for those behind each draft. */
  readonly rows: readonly CandidateList[];
}

interface PassResult {
  readonly drafts: readonly number[];
  readonly rows: readonly CandidateList[];
}

/** A step that was submitted. What it leaves behind counts only when it is taken. */
interface Begun {
  readonly run: Stages;
  readonly back: Readback;
  /** Where the candidates and the likeliest of them are in what comes back. */
  readonly places: { readonly row: number; readonly next: number };
  /** The place of the state that it leaves. */
  readonly into: number;
}

/** Runs passes of one sequence: prompts in batches, then token by token, or a token and drafts of the next ones. */
export class StepRunner {
  readonly state: SequenceState;
  /** What of the last sequence can be gone on from. */
  readonly prefix: PrefixCache;
  /** Most tokens that `verify` drafts. */
  readonly drafts: number;
  /** Whether `stepAhead` may go ahead. */
  readonly goesAhead: boolean;
  /** Of one decode step. */
  readonly stepCost: StepCost = { dispatches: 0, readbackBytes: 0, weightBytes: 0 };
  readonly #gpu: Gpu;
  readonly #model: TextModel;
  readonly #arithmetic: Pick<Pass, 'f16' | 'int8'>;
  #profiler: Profiler | undefined;
  readonly #drafter: Drafter | undefined;
  readonly #mtp: MtpDrafter | undefined;
  readonly #foresight: Foresight | undefined;
  readonly #scratch: Scratch;
  readonly #step: GpuBuffer;
  readonly #input: PassInput;
  /** Floats from one row of logits to the next. */
  readonly #logitStride: number;
  readonly #logits: GpuBuffer;
  readonly #penalties: GpuBuffer;
  /** Bits of the tokens that may come. */
  readonly #mask: GpuBuffer;
  /** A row's are a binding of their own. */
  readonly #outputs: readonly GpuBuffer[];
  /** One, or, where a step may be submitted before the last is read, two in turn. */
  readonly #readbacks: readonly GpuBuffer[];
  /** The step behind the last token, where it was submitted ahead, and the token that it reads. */
  #ahead: (Begun & { readonly token: number }) | undefined;
  readonly #programs = new Map<string, Program>();
  /** Passes so far, and the last layer that the present one waited at. */
  #passes = 0;
  #reached = 0;
  #images: readonly PlacedImage[] = [];
  /** Entries last written to the penalty list. */
  #penaltyCount = 0;

  constructor(gpu: Gpu, model: TextModel, options: RunnerOptions) {
    const { contextLength, f16, int8, kv = f16 ? 'f16' : 'f32', snapshotBytes, foresees = true } = options;
    const { profiler, drafter } = options;
    this.#gpu = gpu;
    this.#model = model;
    this.#arithmetic = { f16, int8 };
    this.#profiler = profiler;
    this.#drafter = drafter;
    const { config } = model;
    this.drafts = drafter || model.mtp ? Math.min(options.drafts ?? 0, MOST_DRAFTS) : 0;
    this.goesAhead = options.ahead === true && this.drafts === 0;
    this.#scratch = new Scratch(gpu, Math.min(PASS_TOKENS, contextLength));
    const usesMtp = this.drafts > 0 && drafter === undefined;
    const mtpRows = usesMtp ? this.#scratch.maxTokens : 0;
    const undo = this.goesAhead ? 1 : this.drafts;
    this.state = new SequenceState(gpu, config, { contextLength, kv, undo, mtpRows });
    this.prefix = new PrefixCache(gpu, this.state, snapshotBytes);
    this.#step = createStep(gpu, 'step');
    this.#input = {
      tokens: this.#scratch.rows('tokens', 1),
      rope: this.#scratch.rows('rope', config.rope.dim),
    };
    const rows = 1 + this.drafts;
    this.#logitStride = rows === 1 ? config.vocabulary : Math.ceil(config.vocabulary / ROW_ALIGNMENT) * ROW_ALIGNMENT;
    this.#logits = gpu.createBuffer('logits', rows * this.#logitStride * 4);
    this.#penalties = gpu.createBuffer('penalties', candidateSizes.penalties);
    this.#mask = gpu.createBuffer('token mask', candidateSizes.mask(config.vocabulary));
    this.#outputs = Array.from({ length: rows }, (_, row) =>
      gpu.createBuffer(`candidates ${row}`, candidateSizes.output),
    );
    if (usesMtp) {
      this.#mtp = new MtpDrafter(gpu, model, this.state, this.#scratch, {
        drafts: this.drafts,
        ...this.#arithmetic,
        logits: this.#logits,
      });
    }
    if (model.experts && foresees) {
      this.#foresight = new Foresight(gpu, model, this.#base, this.#scratch);
    }
    const choices = model.experts ? routing(this.#scratch, config).experts.size + (this.#mtp?.choices.size ?? 0) : 0;
    const back = rows * candidateSizes.output + Math.max(this.drafts, 1) * 4 + rows * STEP_BYTES + choices;
    this.#readbacks = Array.from({ length: this.goesAhead ? 2 : 1 }, () => createReadback(gpu, 'readback', back));
  }

  /**
   * Records and compiles what decoding and a full prompt pass need, so that the first answer does not wait for it.
   */
  async warmUp(): Promise<void> {
    const programs = [this.#program(1, 'last'), this.#program(this.#scratch.maxTokens, 'none')];
    if (this.goesAhead) programs.push(this.#program(1, 'greedy'));
    if (this.drafts > 0) programs.push(this.#program(1 + this.drafts, 'all'));
    if (this.#mtp) programs.push(this.#mtpProgram(1, true));
    await Promise.all(programs);
  }

  /**
   * On a rehearsal's device: allocates all that passes may come to need, the whole context and the logits of a long prompt.
   * @returns bytes of the programs that may be alive at once, bytes of weights that a decode step reads, and the kernels that
   *   `warmUp` compiles, in the order of need
   */
  rehearse(contextLength: number): {
    programBytes: number;
    weightBytes: number;
    variants: readonly ShaderVariant[];
  } {
    const decode = this.#record(1, this.goesAhead ? 'greedy' : 'last').rec;
    const most = this.#record(this.#scratch.maxTokens, 'masked').rec;
    const all = this.drafts > 0 ? this.#record(1 + this.drafts, 'all').rec : decode;
    const drafting = [this.#mtp?.record(1, true).rec, this.#mtp?.record(this.#scratch.maxTokens, true).rec];
    const recorders = [decode, most, all, ...drafting];
    while (this.state.capacity < contextLength) this.state.reserve(this.state.capacity + 1);
    for (const buffer of this.#createLogitRows(LOGIT_ROWS)) buffer.dispose();
    const dispatches = Math.max(decode.dispatchCount, most.dispatchCount, all.dispatchCount);
    const programs = (this.#programsKept + 2) * programBytes(dispatches) + (this.#foresight?.rehearse() ?? 0);
    return {
      programBytes: programs,
      weightBytes: decode.weightBytes,
      variants: recorders.flatMap((rec) => rec?.variants ?? []),
    };
  }

  /** Times the dispatches of passes from now on, or no longer. */
  profile(profiler: Profiler | undefined): void {
    this.#profiler = profiler;
  }

  /** Starts a new sequence. @param images in its order; their buffers stay the caller's */
  reset(images: readonly PlacedImage[] = []): void {
    this.#ahead = undefined;
    this.#images = images;
    this.prefix.clear(images);
  }

  /** Goes on from where the last sequence and this one part. @returns tokens that need not be read */
  resume(prompt: readonly number[], images: readonly PlacedImage[] = []): number {
    this.#ahead = undefined;
    this.#images = images;
    return this.prefix.resume(prompt, images);
  }

  /**
   * Reads tokens in passes of at most `PASS_TOKENS`, without looking at logits.
   * @param between called before each pass; throws to stop
   */
  async read(ids: readonly number[], between: () => void = () => {}, signal?: AbortSignal): Promise<void> {
    let earlier: Promise<unknown> = Promise.resolve();
    for (let at = 0; at < ids.length; at += this.#scratch.maxTokens) {
      between();
      await this.#run(ids.slice(at, at + this.#scratch.maxTokens), 'none', 0, signal);
      // One pass runs while the next is encoded; no more, or a stop would wait for all of them.
      await earlier;
      earlier = this.#gpu.device.queue.onSubmittedWorkDone();
    }
  }

  /**
   * Reads tokens (one pass) and chooses the candidates for the next one.
   * @param allowed bits of the tokens that may be candidates, 32 a word; without it all may
   */
  async step(
    ids: readonly number[],
    penalties: PenaltyList,
    signal?: AbortSignal,
    allowed?: Uint32Array<ArrayBuffer>,
  ): Promise<CandidateList> {
    this.#writePenalties(penalties);
    if (allowed) this.#gpu.write(this.#mask, 0, allowed);
    return (await this.#run(ids, allowed ? 'masked' : 'last', 0, signal)).rows[0];
  }

  /**
   * Reads a token and chooses the candidates for the next one, as `step` does. Where `goesAhead`, the likeliest of them is read
   * by a step that is submitted before these are known, and taken if the next call is for that token. Until then it has not
   * happened: the position and the state are those without it. Only this step's logits are gone then.
   * @param penalties the same for all tokens of an answer @param more whether the next token will be read, too, as far as is known
   */
  async stepAhead(
    id: number,
    penalties: PenaltyList,
    { more, signal }: { more: boolean; signal?: AbortSignal },
  ): Promise<CandidateList> {
    const { state } = this;
    // Behind a step that waits for experts nothing can run.
    if (!this.goesAhead || this.#model.experts?.complete === false) return this.step([id], penalties, signal);
    const ahead = this.#ahead?.token === id ? this.#ahead : undefined;
    this.#ahead = undefined;
    if (!ahead) this.#writePenalties(penalties);
    const step = ahead ?? (await this.#begin(id));
    state.position++;
    state.place = step.into;
    this.prefix.advance([id]);
    this.#tellCost(step.run, step.back);
    try {
      const next = more && state.position < state.capacity ? await this.#begin() : undefined;
      const bytes = await step.run.finish();
      const { row, next: token } = step.places;
      if (next) this.#ahead = { ...next, token: new Uint32Array(bytes, token, 1)[0] };
      return readCandidates(bytes.slice(row, row + candidateSizes.output));
    } catch (error) {
      this.prefix.rewind();
      throw error;
    }
  }

  /**
   * Reads a token and drafts of the next ones, in one pass. The sequence then ends with the token; each draft that turns out
   * right is added by `accept`. What was not accepted when the next pass begins has never been read.
   * @param count most drafts, up to `drafts` @param penalties for the token's successor
   * @param all whether these penalties are also those behind the drafts; otherwise they are asked for by `choose`
   */
  async verify(
    id: number,
    count: number,
    penalties: PenaltyList,
    { all, signal }: { all: boolean; signal?: AbortSignal },
  ): Promise<Verification> {
    const most = Math.min(count, this.drafts);
    // Behind a first token nothing is known yet that the block could draft from.
    const fromBlock = this.#mtp && this.state.position > 0 ? most : 0;
    const own = this.#drafter && most > 0 ? this.#drafter.propose([...this.prefix.tokens, id], most) : [];
    if (fromBlock + own.length === 0) {
      return { drafts: [], rows: [await this.step([id], penalties, signal)] };
    }
    this.#writePenalties(penalties);
    return this.#run([id, ...own.slice(0, most)], all ? 'all' : 'first', fromBlock, signal);
  }

  /** The first draft that was not accepted yet was right: it belongs to the sequence. */
  accept(id: number): void {
    if (this.state.place === 0) throw new Error('there is no draft to accept');
    this.state.place--;
    this.state.position++;
    this.prefix.advance([id]);
  }

  /** Candidates behind a draft of the last verification, whose penalties are known by now. @param row from 1 on */
  async choose(row: number, penalties: PenaltyList): Promise<CandidateList> {
    this.#writePenalties(penalties);
    const program = await this.#cached(`row ${row}`, () => {
      const pass = this.#pass(1);
      this.#candidates(pass, row);
      return pass.rec;
    });
    const encoder = this.#gpu.device.createCommandEncoder();
    program.encode(encoder, this.#profiler);
    const back = new Readback();
    back.add(this.#outputs[row], 0, candidateSizes.output);
    const [target] = this.#readbacks;
    back.copy(encoder, target);
    this.#gpu.device.queue.submit([encoder.finish()]);
    return readCandidates(await back.read(this.#gpu, target));
  }

  /** All logits of the last step that was submitted, or of a row of the last verification, after its penalties, `[vocabulary]`. */
  async lastLogits(row = 0): Promise<Float32Array<ArrayBuffer>> {
    return new Float32Array(await this.#gpu.read(this.#logitRow(row)), 0, this.#model.config.vocabulary);
  }

  /**
   * Logits after every token, from a fresh sequence: rows of `[vocabulary]` in order.
   * @param from first position whose logits are wanted
   */
  async logits(
    ids: readonly number[],
    from: number,
    between: () => void = () => {},
    images: readonly PlacedImage[] = [],
    signal?: AbortSignal,
  ): Promise<Float32Array<ArrayBuffer>> {
    const { vocabulary } = this.#model.config;
    const result = new Float32Array((ids.length - from) * vocabulary);
    this.reset(images);
    for (let at = 0; at < ids.length; at += this.#scratch.maxTokens) {
      between();
      const pass = ids.slice(at, at + this.#scratch.maxTokens);
      await this.#run(pass, 'none', 0, signal);
      for (let row = Math.max(0, from - at); row < pass.length; row += LOGIT_ROWS) {
        const count = Math.min(LOGIT_ROWS, pass.length - row);
        result.set(await this.#logitRows(row, count), (at + row - from) * vocabulary);
      }
    }
    return result;
  }

  dispose(): void {
    this.#dropPrograms();
    this.prefix.dispose();
    this.state.dispose();
    this.#scratch.dispose();
    this.#mtp?.dispose();
    this.#foresight?.dispose();
    for (const buffer of [this.#step, this.#logits, this.#penalties, this.#mask, ...this.#outputs, ...this.#readbacks])
      buffer.dispose();
  }

  /**
   * One pass, through all its halts.
   * @param drafts how many tokens the MTP block adds to the ids
   */
  async #run(ids: readonly number[], choice: Choice, drafts: number, signal?: AbortSignal): Promise<PassResult> {
    const gpu = this.#gpu;
    const { state } = this;
    const { experts } = this.#model;
    const { position } = state;
    const tokens = ids.length + drafts;
    this.#ahead = undefined;
    const pass = ++this.#passes;
    if (state.reserve(position + tokens)) this.#dropPrograms();
    const waiting = this.#mtp?.rowsBefore(position, tokens, drafts) ?? 0;
    const routed = experts !== undefined && (choice !== 'none' || !experts.complete);
    // Of a pass that may halt nothing is kept before it is through.
    const mayHalt = routed && !experts.complete;
    const row = state.mtp ? position - state.mtp.read - waiting : 0;
    const keep = (encoder: GPUCommandEncoder) => this.#mtp?.keep(encoder, row, tokens);
    const stages = await this.#mtpStages(waiting, drafts);
    const main = stages.push(await this.#mainStage(tokens, choice, mayHalt ? undefined : keep)) - 1;
    gpu.assertAlive();

    const back = new Readback();
    const places = {
      rows: this.#rowsOf(choice, tokens).map((row) => back.add(this.#outputs[row], 0, candidateSizes.output)),
      drafts: (this.#mtp?.proposed ?? []).slice(0, drafts).map((draft) => back.add(draft, 0, 4)),
    };
    const run = new Stages(stages, {
      gpu,
      profiler: this.#profiler,
      experts: routed ? experts : undefined,
      slots: experts && routing(this.#scratch, this.#model.config).slots,
      back,
      target: this.#readbacks[0],
      token: position,
      signal,
      onHalt: (stage, layer) => {
        if (stage !== main) return undefined;
        this.#reached = layer;
        if (choice === 'none') return undefined;
        const isPassed = (later: number) => pass !== this.#passes || later <= this.#reached;
        return this.#foresight?.read(experts!, layer, isPassed);
      },
    });

    const encoder = gpu.device.createCommandEncoder();
    if (waiting > 0) this.#writeMtp(encoder, waiting, drafts, ids[0]);
    this.#writePlace(tokens, 0);
    this.#writeTokens(encoder, ids);
    run.submit(encoder);
    if (state.mtp && !mayHalt) state.mtp.read += waiting;
    // A pass that verifies ends for now with the token that it was given; only its last states are kept.
    const certain = choice === 'first' || choice === 'all' ? 1 : tokens;
    state.position += certain;
    state.place = tokens - certain;
    this.prefix.advance(ids.slice(0, certain));
    if (choice !== 'none' && certain === 1) this.#tellCost(run, back);
    if (back.bytes === 0) return { drafts: [], rows: [] };
    try {
      const bytes = await run.finish();
      if (mayHalt && state.mtp) {
        state.mtp.read += waiting;
        this.#submit(keep);
      }
      return {
        drafts: [...ids.slice(certain), ...places.drafts.map((at) => new Uint32Array(bytes, at, 1)[0])],
        rows: places.rows.map((at) => readCandidates(bytes.slice(at, at + candidateSizes.output))),
      };
    } catch (error) {
      // Some layers have read the tokens, others have not.
      this.prefix.rewind();
      throw error;
    }
  }

  /**
   * Submits a step behind the last token that was read. It leaves the state that it goes on from where it is.
   * @param id what it reads; otherwise the likeliest candidate of the step that was submitted before
   */
  async #begin(id?: number): Promise<Begun> {
    const gpu = this.#gpu;
    const { state } = this;
    const { config, experts } = this.#model;
    const { position } = state;
    if (state.reserve(position + 1)) this.#dropPrograms();
    const stage = await this.#mainStage(1, 'greedy', undefined);
    gpu.assertAlive();
    const back = new Readback();
    const places = {
      row: back.add(this.#outputs[0], 0, candidateSizes.output),
      next: back.add(this.#input.tokens, 0, 4),
    };
    const into = 1 - state.place;
    const run = new Stages([stage], {
      gpu,
      profiler: this.#profiler,
      experts,
      slots: experts && routing(this.#scratch, config).slots,
      back,
      // Each place of the state has its own: a step that is not read yet has left its state in the other one.
      target: this.#readbacks[into],
      token: position,
    });
    const encoder = gpu.device.createCommandEncoder();
    this.#writePlace(1, into);
    if (id !== undefined) this.#writeTokens(encoder, [id]);
    run.submit(encoder);
    return { run, back, places, into };
  }

  #tellCost(run: Stages, back: Readback): void {
    this.stepCost.dispatches = run.dispatchCount;
    this.stepCost.readbackBytes = back.bytes;
    this.stepCost.weightBytes = run.weightBytes;
  }

  /** Rows of logits that a pass makes candidates of. */
  #rowsOf(choice: Choice, tokens: number): number[] {
    if (choice === 'none') return [];
    return Array.from({ length: choice === 'all' ? tokens : 1 }, (_, row) => row);
  }

  #submit(encode: (encoder: GPUCommandEncoder) => void): void {
    const encoder = this.#gpu.device.createCommandEncoder();
    encode(encoder);
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  async #mainStage(tokens: number, choice: Choice, after: Stage['after']): Promise<Stage> {
    const { ffn, layers } = this.#model.config;
    const bytes = ffn.kind === 'moe' ? 4 * tokens * ffn.topK : 0;
    return {
      program: await this.#program(tokens, choice),
      step: this.#step,
      layers: [...layers.keys()],
      choices: (layer) => ({
        buffer: routing(this.#scratch, this.#model.config).experts,
        from: layer * bytes,
        bytes,
      }),
      after,
    };
  }

  /** What the MTP block reads and proposes before a pass. */
  async #mtpStages(rows: number, drafts: number): Promise<Stage[]> {
    const mtp = this.#mtp;
    if (!mtp || rows === 0) return [];
    const { ffn, layers } = this.#model.config;
    const stages: Stage[] = [];
    for (let i = 0; i < Math.max(drafts, 1); i++) {
      const next = i + 1 < drafts ? mtp.steps[i + 1] : this.#step;
      const bytes = ffn.kind === 'moe' ? 4 * ffn.topK * (i === 0 ? rows : 1) : 0;
      stages.push({
        program: i === 0 ? await this.#mtpProgram(rows, drafts > 0) : await this.#nextDraftProgram(i),
        step: mtp.steps[i],
        layers: [layers.length],
        choices: () => ({ buffer: mtp.choices, from: mtp.choicesAt(i), bytes }),
        after: (encoder) => mtp.handOn(encoder, i, drafts > 0, this.#input.tokens, next),
      });
    }
    return stages;
  }

  /** Tells the pass where it is. @param into the place of the state that it leaves */
  #writePlace(tokens: number, into: number): void {
    const { position, place } = this.state;
    const { rope } = this.#model.config;
    writeStep(this.#gpu, this.#step, { position, state: place, into });
    this.#gpu.write(this.#input.rope, 0, ropeTable(rope, sequencePositions(position, tokens, this.#images)));
  }

  /** Fills in what the pass reads. */
  #writeTokens(encoder: GPUCommandEncoder, ids: readonly number[]): void {
    const x = this.#scratch.rows('x', this.#model.config.hidden);
    this.#gpu.write(this.#input.tokens, 0, this.#placeImages(encoder, ids, this.state.position, x));
  }

  /** Fills what the MTP block reads: with each hidden state that waits goes the token behind it. */
  #writeMtp(encoder: GPUCommandEncoder, rows: number, drafts: number, next: number): void {
    const mtp = this.#mtp!;
    const first = this.state.position - rows + 1;
    const ids = [...this.prefix.tokens.slice(first), next];
    mtp.write(this.#placeImages(encoder, ids, first, mtp.embeddings), drafts, this.#images);
  }

  /** Copies embeddings of images to the rows that are theirs. @returns the ids, without those of the rows */
  #placeImages(
    encoder: GPUCommandEncoder,
    ids: readonly number[],
    position: number,
    rows: GpuBuffer,
  ): Uint32Array<ArrayBuffer> {
    const tokens = Uint32Array.from(ids);
    const { hidden } = this.#model.config;
    for (const image of this.#images) {
      const first = Math.max(image.first, position);
      const end = Math.min(imageEnd(image), position + ids.length);
      if (first >= end) continue;
      if (!image.embeddings) throw new Error(`the image at ${image.first} was not embedded`);
      tokens.fill(NO_TOKEN, first - position, end - position);
      encoder.copyBufferToBuffer(
        image.embeddings.buffer,
        (first - image.first) * hidden * 4,
        rows.buffer,
        (first - position) * hidden * 4,
        (end - first) * hidden * 4,
      );
    }
    return tokens;
  }

  #program(tokens: number, choice: Choice): Promise<Program> {
    return this.#cached(`${tokens} tokens, ${choice}`, () => this.#record(tokens, choice).rec);
  }

  #mtpProgram(rows: number, drafts: boolean): Promise<Program> {
    const mtp = this.#mtp!;
    return this.#cached(`MTP over ${rows}${drafts ? ', draft' : ''}`, () => mtp.record(rows, drafts).rec, mtp.steps[0]);
  }

  #nextDraftProgram(i: number): Promise<Program> {
    const mtp = this.#mtp!;
    return this.#cached(`draft ${i}`, () => mtp.recordNext(i).rec, mtp.steps[i]);
  }

  /** A program that is built when it is first wanted, and kept while it is among the last used. */
  async #cached(name: string, record: () => Recorder, step = this.#step): Promise<Program> {
    this.#gpu.assertAlive();
    let program = this.#programs.get(name);
    if (!program) program = await record().build(name, step);
    // Last used last.
    this.#programs.delete(name);
    this.#programs.set(name, program);
    for (const [oldest, unused] of this.#programs) {
      if (this.#programs.size <= this.#programsKept) break;
      unused.dispose();
      this.#programs.delete(oldest);
    }
    return program;
  }

  /** With drafts there are passes of several kinds and lengths in turn, and as many that read what was accepted. */
  get #programsKept(): number {
    return PROGRAMS_KEPT + 4 * this.drafts;
  }

  #record(tokens: number, choice: Choice): Pass {
    const verifies = choice === 'first' || choice === 'all';
    const pass = { ...this.#pass(tokens, verifies), kept: verifies ? tokens : 1 };
    const x = decoder(pass, this.#model, this.state);
    if (choice === 'none') return pass;
    const [first, count] = verifies ? [0, tokens] : [tokens - 1, 1];
    head(pass, this.#model, x, this.#logits, first, count, this.#logitStride);
    for (const row of this.#rowsOf(choice, tokens)) this.#candidates(pass, row, choice === 'masked');
    if (choice === 'greedy') likeliest(pass.rec, this.#outputs[0], this.#input.tokens);
    return pass;
  }

  #candidates(pass: Pass, row: number, masked = false): void {
    const { vocabulary } = this.#model.config;
    const partials = this.#scratch.bytes('logit partials', candidateSizes.partials(vocabulary));
    const histograms = this.#scratch.bytes('logit histograms', candidateSizes.histograms);
    const logits = this.#logitRow(row);
    const mask = masked ? this.#mask : undefined;
    candidates(
      pass.rec,
      { logits, penalties: this.#penalties, partials, histograms, output: this.#outputs[row], mask },
      vocabulary,
    );
  }

  #logitRow(row: number): BufferRange {
    return this.#logits.slice(row * this.#logitStride * 4, this.#model.config.vocabulary * 4);
  }

  /** Logits of `count` rows, and where they are read back to. */
  #createLogitRows(count: number): [rows: GpuBuffer, readback: GpuBuffer] {
    const bytes = count * this.#model.config.vocabulary * 4;
    return [this.#gpu.createBuffer('logit rows', bytes), createReadback(this.#gpu, 'logit rows readback', bytes)];
  }

  async #logitRows(first: number, count: number): Promise<Float32Array<ArrayBuffer>> {
    const gpu = this.#gpu;
    const [rows, readback] = this.#createLogitRows(count);
    const pass = this.#pass(count);
    head(pass, this.#model, this.#scratch.rows('x', this.#model.config.hidden), rows, first, count);
    const program = await pass.rec.build('logit rows', this.#step);
    try {
      const encoder = gpu.device.createCommandEncoder();
      program.encode(encoder);
      encoder.copyBufferToBuffer(rows.buffer, 0, readback.buffer, 0, rows.size);
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.map(readback.buffer);
      return new Float32Array(readback.buffer.getMappedRange().slice(0), 0, count * this.#model.config.vocabulary);
    } finally {
      for (const resource of [program, rows, readback]) resource.dispose();
    }
  }

  /** What all passes share. */
  get #base(): Omit<Pass, 'rec' | 'tokens'> {
    return { config: this.#model.config, scratch: this.#scratch, input: this.#input, ...this.#arithmetic };
  }

  #pass(tokens: number, often = false): Pass {
    return { ...this.#base, rec: new Recorder(this.#gpu, often), tokens };
  }

  #writePenalties({ ids, scale, shift }: PenaltyList): void {
    if (ids.length > PENALTY_CAPACITY)
      throw new Error(`${ids.length} penalties exceed the list of ${PENALTY_CAPACITY}`);
    if (ids.length === 0 && this.#penaltyCount === 0) return;
    const list = new DataView(new ArrayBuffer(4 + 12 * ids.length));
    list.setUint32(0, ids.length, true);
    for (let i = 0; i < ids.length; i++) {
      list.setUint32(4 + 12 * i, ids[i], true);
      list.setFloat32(8 + 12 * i, scale[i], true);
      list.setFloat32(12 + 12 * i, shift[i], true);
    }
    this.#gpu.write(this.#penalties, 0, new Uint8Array(list.buffer));
    this.#penaltyCount = ids.length;
  }

  #dropPrograms(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
  }
}

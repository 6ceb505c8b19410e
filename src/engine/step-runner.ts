import { BufferUsage, type Gpu, type GpuBuffer, type Profiler, type Program, Recorder } from '../gpu/index.ts';
import {
  type CandidateList,
  candidateSizes,
  candidates,
  PENALTY_CAPACITY,
  readCandidates,
} from '../kernels/candidates.ts';
import { decoder, head, type Pass, type PassInput } from '../model/decoder.ts';
import { type ImageSpan, imageEnd, ropeTable, sequencePositions } from '../model/rope.ts';
import { Scratch } from '../model/scratch.ts';
import { SequenceState } from '../model/state.ts';
import type { TextModel } from '../model/text-model.ts';
import type { PenaltyList } from '../text/index.ts';
import { PrefixCache } from './prefix-cache.ts';

/** Most tokens a pass reads. Scratch memory grows with it; beyond some hundreds the matmul gains nothing. */
export const PASS_TOKENS = 256;

/** Rows of logits made at a time when all are wanted. */
const LOGIT_ROWS = 32;

/** Programs kept, by number of tokens: decoding, full passes, and a few prompt tails. */
const PROGRAMS_KEPT = 8;

export interface RunnerOptions {
  contextLength: number;
  /** f16 matmul tiles and KV cache. */
  f16: boolean;
  /** Times the dispatches of every pass. */
  profiler?: Profiler;
}

/** Counters of the last decode step. */
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

/** Runs passes of one sequence: prompts in batches, then token by token. */
export class StepRunner {
  readonly state: SequenceState;
  /** What of the last sequence can be gone on from. */
  readonly prefix: PrefixCache;
  /** Of one decode step. */
  readonly stepCost: StepCost = { dispatches: 0, readbackBytes: 0, weightBytes: 0 };
  readonly #gpu: Gpu;
  readonly #model: TextModel;
  readonly #f16: boolean;
  readonly #profiler: Profiler | undefined;
  readonly #scratch: Scratch;
  readonly #step: GpuBuffer;
  readonly #input: PassInput;
  readonly #logits: GpuBuffer;
  readonly #penalties: GpuBuffer;
  readonly #output: GpuBuffer;
  readonly #readback: GpuBuffer;
  readonly #programs = new Map<string, Program>();
  #images: readonly PlacedImage[] = [];
  /** Entries last written to the penalty list. */
  #penaltyCount = 0;

  constructor(gpu: Gpu, model: TextModel, { contextLength, f16, profiler }: RunnerOptions) {
    this.#gpu = gpu;
    this.#model = model;
    this.#f16 = f16;
    this.#profiler = profiler;
    const { config } = model;
    this.state = new SequenceState(gpu, config, { contextLength, kvF16: f16 });
    this.prefix = new PrefixCache(gpu, this.state);
    this.#scratch = new Scratch(gpu, Math.min(PASS_TOKENS, contextLength));
    this.#step = gpu.createBuffer('step', 16);
    this.#input = {
      tokens: this.#scratch.rows('tokens', 1),
      rope: this.#scratch.rows('rope', config.rope.dim),
    };
    this.#logits = gpu.createBuffer('logits', config.vocabulary * 4);
    this.#penalties = gpu.createBuffer('penalties', candidateSizes.penalties);
    this.#output = gpu.createBuffer('candidates', candidateSizes.output);
    this.#readback = gpu.createBuffer(
      'candidates readback',
      candidateSizes.output,
      BufferUsage.MAP_READ | BufferUsage.COPY_DST,
    );
  }

  /** Records and compiles what decoding and a full prompt pass need, so that the first answer does not wait for it. */
  async warmUp(): Promise<void> {
    await Promise.all([this.#program(1, true), this.#program(this.#scratch.maxTokens, false)]);
  }

  /** Starts a new sequence. @param images in its order; their buffers stay the caller's */
  reset(images: readonly PlacedImage[] = []): void {
    this.#images = images;
    this.prefix.clear(images);
  }

  /** Goes on from where the last sequence and this one part. @returns tokens that need not be read */
  resume(prompt: readonly number[], images: readonly PlacedImage[] = []): number {
    this.#images = images;
    return this.prefix.resume(prompt, images);
  }

  /**
   * Reads tokens in passes of at most `PASS_TOKENS`, without looking at logits.
   * @param between called before each pass; throws to stop
   */
  async read(ids: readonly number[], between: () => void = () => {}): Promise<void> {
    let earlier: Promise<unknown> = Promise.resolve();
    for (let at = 0; at < ids.length; at += this.#scratch.maxTokens) {
      between();
      await this.#submit(ids.slice(at, at + this.#scratch.maxTokens), false);
      // One pass runs while the next is encoded; no more, or a stop would wait for all of them.
      await earlier;
      earlier = this.#gpu.device.queue.onSubmittedWorkDone();
    }
  }

  /** Reads tokens (one pass) and chooses the candidates for the next one. */
  async step(ids: readonly number[], penalties: PenaltyList): Promise<CandidateList> {
    this.#writePenalties(penalties);
    await this.#submit(ids, true);
    const { buffer } = this.#readback;
    await this.#gpu.map(buffer);
    const list = readCandidates(buffer.getMappedRange().slice(0));
    buffer.unmap();
    this.#gpu.assertAlive();
    return list;
  }

  /** All logits of the last step, after its penalties, `[vocabulary]`. */
  async lastLogits(): Promise<Float32Array<ArrayBuffer>> {
    return new Float32Array(await this.#gpu.read(this.#logits), 0, this.#model.config.vocabulary);
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
  ): Promise<Float32Array<ArrayBuffer>> {
    const { vocabulary } = this.#model.config;
    const result = new Float32Array((ids.length - from) * vocabulary);
    this.reset(images);
    for (let at = 0; at < ids.length; at += this.#scratch.maxTokens) {
      between();
      const pass = ids.slice(at, at + this.#scratch.maxTokens);
      await this.#submit(pass, false);
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
    for (const buffer of [this.#step, this.#logits, this.#penalties, this.#output, this.#readback]) buffer.dispose();
  }

  async #submit(ids: readonly number[], choose: boolean): Promise<void> {
    const gpu = this.#gpu;
    gpu.assertAlive();
    const { position } = this.state;
    if (this.state.reserve(position + ids.length)) this.#dropPrograms();
    const program = await this.#program(ids.length, choose);
    gpu.write(this.#step, 0, new Uint32Array([position, ids.length, 0, 0]));
    const encoder = gpu.device.createCommandEncoder();
    gpu.write(this.#input.tokens, 0, this.#placeImages(encoder, ids));
    const positions = sequencePositions(position, ids.length, this.#images);
    gpu.write(this.#input.rope, 0, ropeTable(this.#model.config.rope, positions));
    program.encode(encoder, this.#profiler);
    if (choose) {
      encoder.copyBufferToBuffer(this.#output.buffer, 0, this.#readback.buffer, 0, this.#output.size);
      if (ids.length === 1) {
        this.stepCost.dispatches = program.dispatchCount;
        this.stepCost.readbackBytes = this.#output.size;
        this.stepCost.weightBytes = program.weightBytes;
      }
    }
    gpu.device.queue.submit([encoder.finish()]);
    this.state.position += ids.length;
    this.prefix.advance(ids);
  }

  /** Copies embeddings of images to the rows of x that are theirs. @returns the ids, without those of the rows */
  #placeImages(encoder: GPUCommandEncoder, ids: readonly number[]): Uint32Array<ArrayBuffer> {
    const tokens = Uint32Array.from(ids);
    const { position } = this.state;
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
        this.#scratch.rows('x', hidden).buffer,
        (first - position) * hidden * 4,
        (end - first) * hidden * 4,
      );
    }
    return tokens;
  }

  /** The pass for so many tokens, with or without candidates for the next one. */
  async #program(tokens: number, choose: boolean): Promise<Program> {
    const key = `${tokens} ${choose}`;
    let program = this.#programs.get(key);
    if (!program) {
      const pass = this.#pass(tokens);
      const x = decoder(pass, this.#model, this.state);
      if (choose) {
        head(pass, this.#model, x, this.#logits, tokens - 1, 1);
        const { vocabulary } = this.#model.config;
        const partials = this.#scratch.bytes('logit partials', candidateSizes.partials(vocabulary));
        const histograms = this.#scratch.bytes('logit histograms', candidateSizes.histograms);
        candidates(
          pass.rec,
          { logits: this.#logits, penalties: this.#penalties, partials, histograms, output: this.#output },
          vocabulary,
        );
      }
      program = await pass.rec.build(`${tokens} tokens`, this.#step);
    }
    // Last used last.
    this.#programs.delete(key);
    this.#programs.set(key, program);
    for (const [oldest, unused] of this.#programs) {
      if (this.#programs.size <= PROGRAMS_KEPT) break;
      unused.dispose();
      this.#programs.delete(oldest);
    }
    return program;
  }

  async #logitRows(first: number, count: number): Promise<Float32Array<ArrayBuffer>> {
    const gpu = this.#gpu;
    const bytes = count * this.#model.config.vocabulary * 4;
    const rows = gpu.createBuffer('logit rows', bytes);
    const pass = this.#pass(count);
    head(pass, this.#model, this.#scratch.rows('x', this.#model.config.hidden), rows, first, count);
    const program = await pass.rec.build('logit rows', this.#step);
    try {
      const encoder = gpu.device.createCommandEncoder();
      program.encode(encoder);
      gpu.device.queue.submit([encoder.finish()]);
      return new Float32Array(await gpu.read(rows), 0, bytes / 4);
    } finally {
      program.dispose();
      rows.dispose();
    }
  }

  #pass(tokens: number): Pass {
    return {
      rec: new Recorder(this.#gpu),
      config: this.#model.config,
      scratch: this.#scratch,
      input: this.#input,
      tokens,
      f16: this.#f16,
    };
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

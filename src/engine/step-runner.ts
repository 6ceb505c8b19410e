import type { ExpertResidency } from '../experts/index.ts';
import {
  BufferUsage,
  type Gpu,
  type GpuBuffer,
  type Profiler,
  type Program,
  programBytes,
  Recorder,
} from '../gpu/index.ts';
import type { KvType } from '../kernels/attention.ts';
import {
  type CandidateList,
  candidateSizes,
  candidates,
  PENALTY_CAPACITY,
  readCandidates,
} from '../kernels/candidates.ts';
import {
  decoder,
  forecast,
  head,
  type Pass,
  type PassInput,
  productsMark,
  routedMark,
  routing,
} from '../model/decoder.ts';
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
  /** f16 matmul tiles. */
  f16: boolean;
  /** Default: halves with `f16`, otherwise f32. */
  kv?: KvType;
  /** Memory for snapshots of the state; default: a part of what the device's budget leaves. */
  snapshotBytes?: number;
  /** Reads ahead what the routers of later layers say while a step waits; default true. */
  foresees?: boolean;
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

/** Bytes of the step buffer, and where its halt is. */
const STEP_BYTES = 16;
const HALT_AT = 8;

/** Layers behind a waiting one whose experts are foretold. */
const FORESEEN_LAYERS = 2;

/** In place of a token id: the embedding kernel finds no such row, and leaves x as it is. */
const NO_TOKEN = 0xffffffff;

/** What a pass copies back. */
interface BackParts {
  /** Candidates for the next token. */
  readonly choose: boolean;
  /** Whether it halted, and what its routers chose. */
  readonly routed: boolean;
  readonly tokens: number;
}

interface Back {
  readonly candidates: ArrayBuffer;
  /** 0, or 1 + the layer whose experts are absent. */
  readonly halt: number;
  /** `[T, topK]` of a layer that has routed. */
  readonly chosen: (layer: number) => Uint32Array;
}

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
  readonly #foresees: boolean;
  readonly #scratch: Scratch;
  readonly #step: GpuBuffer;
  readonly #input: PassInput;
  readonly #logits: GpuBuffer;
  readonly #penalties: GpuBuffer;
  readonly #output: GpuBuffer;
  readonly #readback: GpuBuffer;
  readonly #programs = new Map<string, Program>();
  readonly #forecastStep: GpuBuffer;
  readonly #forecastReadback: GpuBuffer;
  readonly #forecasts = new Map<number, Program>();
  #foreseeing = false;
  /** Passes so far, and the last layer that the present one waited at. */
  #passes = 0;
  #reached = 0;
  #images: readonly PlacedImage[] = [];
  /** Entries last written to the penalty list. */
  #penaltyCount = 0;

  constructor(
    gpu: Gpu,
    model: TextModel,
    { contextLength, f16, kv = f16 ? 'f16' : 'f32', snapshotBytes, foresees = true, profiler }: RunnerOptions,
  ) {
    this.#gpu = gpu;
    this.#model = model;
    this.#f16 = f16;
    this.#profiler = profiler;
    this.#foresees = foresees;
    const { config } = model;
    this.state = new SequenceState(gpu, config, { contextLength, kv });
    this.prefix = new PrefixCache(gpu, this.state, snapshotBytes);
    this.#scratch = new Scratch(gpu, Math.min(PASS_TOKENS, contextLength));
    this.#step = gpu.createBuffer('step', STEP_BYTES);
    this.#input = {
      tokens: this.#scratch.rows('tokens', 1),
      rope: this.#scratch.rows('rope', config.rope.dim),
    };
    this.#logits = gpu.createBuffer('logits', config.vocabulary * 4);
    this.#penalties = gpu.createBuffer('penalties', candidateSizes.penalties);
    this.#output = gpu.createBuffer('candidates', candidateSizes.output);
    this.#readback = gpu.createBuffer(
      'readback',
      candidateSizes.output + (model.experts ? STEP_BYTES + routing(this.#scratch, config).experts.size : 0),
      BufferUsage.MAP_READ | BufferUsage.COPY_DST,
    );
    this.#forecastStep = gpu.createBuffer('forecast step', STEP_BYTES);
    const foreseen = config.ffn.kind === 'moe' ? 4 * FORESEEN_LAYERS * config.ffn.topK : 0;
    this.#forecastReadback = gpu.createBuffer(
      'forecast readback',
      foreseen,
      BufferUsage.MAP_READ | BufferUsage.COPY_DST,
    );
  }

  /** Records and compiles what decoding and a full prompt pass need, so that the first answer does not wait for it. */
  async warmUp(): Promise<void> {
    await Promise.all([this.#program(1, true), this.#program(this.#scratch.maxTokens, false)]);
  }

  /**
   * On a rehearsal's device: allocates all that passes may come to need, the whole context and the logits of a long prompt.
   * @returns bytes of the programs that may be alive at once, and bytes of weights that a decode step reads
   */
  rehearse(contextLength: number): { programBytes: number; weightBytes: number } {
    const decode = this.#record(1, true).rec;
    const most = this.#record(this.#scratch.maxTokens, true).rec;
    while (this.state.capacity < contextLength) this.state.reserve(this.state.capacity + 1);
    for (const buffer of this.#createLogitRows(LOGIT_ROWS)) buffer.dispose();
    let programs = (PROGRAMS_KEPT + 2) * programBytes(Math.max(decode.dispatchCount, most.dispatchCount));
    if (this.#model.experts)
      programs += this.#model.layers.length * programBytes(this.#recordForecast(1).dispatchCount);
    return { programBytes: programs, weightBytes: decode.weightBytes };
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
  async read(ids: readonly number[], between: () => void = () => {}, signal?: AbortSignal): Promise<void> {
    let earlier: Promise<unknown> = Promise.resolve();
    for (let at = 0; at < ids.length; at += this.#scratch.maxTokens) {
      between();
      await this.#run(ids.slice(at, at + this.#scratch.maxTokens), false, signal);
      // One pass runs while the next is encoded; no more, or a stop would wait for all of them.
      await earlier;
      earlier = this.#gpu.device.queue.onSubmittedWorkDone();
    }
  }

  /** Reads tokens (one pass) and chooses the candidates for the next one. */
  async step(ids: readonly number[], penalties: PenaltyList, signal?: AbortSignal): Promise<CandidateList> {
    this.#writePenalties(penalties);
    const { candidates } = (await this.#run(ids, true, signal))!;
    return readCandidates(candidates);
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
    signal?: AbortSignal,
  ): Promise<Float32Array<ArrayBuffer>> {
    const { vocabulary } = this.#model.config;
    const result = new Float32Array((ids.length - from) * vocabulary);
    this.reset(images);
    for (let at = 0; at < ids.length; at += this.#scratch.maxTokens) {
      between();
      const pass = ids.slice(at, at + this.#scratch.maxTokens);
      await this.#run(pass, false, signal);
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
    for (const program of this.#forecasts.values()) program.dispose();
    for (const buffer of [this.#step, this.#logits, this.#penalties, this.#output, this.#readback]) buffer.dispose();
    for (const buffer of [this.#forecastStep, this.#forecastReadback]) buffer.dispose();
  }

  /**
   * One pass, through all its halts.
   * @returns what came back, where anything was to: the candidates, or word of what the routers chose
   */
  async #run(ids: readonly number[], choose: boolean, signal?: AbortSignal): Promise<Back | undefined> {
    const { experts } = this.#model;
    const position = this.state.position;
    this.#passes++;
    const program = await this.#program(ids.length, choose);
    const parts = { choose, routed: experts !== undefined && (choose || !experts.complete), tokens: ids.length };
    this.#submit(ids, program, parts);
    if (!parts.choose && !parts.routed) return undefined;
    let back = await this.#readBack(parts);
    if (!experts || !parts.routed) return back;
    try {
      const halts = new Set<number>();
      while (back.halt > 0) {
        const layer = back.halt - 1;
        if (halts.has(layer)) throw new Error(`layer ${layer} halts again`);
        halts.add(layer);
        this.#reached = layer;
        await this.#supply(experts, program, layer, back.chosen(layer), position, parts, signal);
        back = await this.#readBack(parts);
      }
      for (const layer of this.#model.layers.keys()) {
        if (!halts.has(layer)) experts.used(layer, back.chosen(layer), position);
      }
      return back;
    } catch (error) {
      // Some layers have read the tokens, others have not.
      this.prefix.rewind();
      throw error;
    }
  }

  /** Brings what a halted layer wants, and lets the pass go on from there. */
  async #supply(
    experts: ExpertResidency,
    program: Program,
    layer: number,
    chosen: Uint32Array,
    position: number,
    parts: BackParts,
    signal?: AbortSignal,
  ): Promise<void> {
    const gpu = this.#gpu;
    const { slots } = routing(this.#scratch, this.#model.config);
    const start = performance.now();
    const foreseen = parts.tokens === 1 && this.#foresees ? this.#foresee(experts, layer) : undefined;
    for await (const wave of experts.waves(layer, chosen, position, signal)) {
      if (foreseen) await experts.waitFor(foreseen, performance.now() - start);
      gpu.write(slots, 0, wave.slots);
      gpu.write(this.#step, HALT_AT, new Uint32Array([0]));
      const encoder = gpu.device.createCommandEncoder();
      const to = wave.last ? undefined : productsMark(layer);
      program.encode(encoder, this.#profiler, { from: routedMark(layer), to });
      if (wave.last) this.#copyBack(encoder, parts);
      gpu.device.queue.submit([encoder.finish()]);
    }
  }

  /**
   * While a step waits for the experts of a layer, what the next layers will probably choose is asked of their routers, and
   * read ahead. A submit and a readback of its own, and only then: steps that find all they want pay nothing.
   * @returns resolves when what was foretold is there
   */
  async #foresee(experts: ExpertResidency, layer: number): Promise<void> {
    const first = layer + 1;
    const layers = this.#model.layers.slice(first, first + FORESEEN_LAYERS);
    if (layers.length === 0 || this.#foreseeing) return;
    this.#foreseeing = true;
    const pass = this.#passes;
    const ask = async () => {
      const program = await this.#forecastProgram(first);
      const gpu = this.#gpu;
      gpu.write(this.#forecastStep, 0, new Uint32Array(STEP_BYTES / 4));
      const encoder = gpu.device.createCommandEncoder();
      program.encode(encoder);
      const { experts: chosen, topK } = this.#forecastOutput();
      const size = 4 * layers.length * topK;
      encoder.copyBufferToBuffer(chosen.buffer, 0, this.#forecastReadback.buffer, 0, size);
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.map(this.#forecastReadback.buffer, 0, size);
      const ids = new Uint32Array(this.#forecastReadback.buffer.getMappedRange(0, size).slice(0));
      this.#forecastReadback.buffer.unmap();
      return [...layers.keys()].map((i) => [...ids.subarray(i * topK, (i + 1) * topK)]);
    };
    let foretold: number[][];
    try {
      foretold = await ask();
    } catch {
      return; // a help that was not to be had: a lost device is told by the step itself
    } finally {
      this.#foreseeing = false;
    }
    const reads = foretold.map((ids, i) => {
      // The step may have gone on meanwhile: what it has passed is no longer worth reading.
      const passed = pass !== this.#passes || first + i <= this.#reached;
      return passed ? undefined : experts.prefetch(first + i, ids);
    });
    await Promise.all(reads);
  }

  #forecastOutput(): { experts: GpuBuffer; topK: number } {
    const { ffn } = this.#model.config;
    const topK = ffn.kind === 'moe' ? ffn.topK : 0;
    return { experts: this.#scratch.bytes('foreseen experts', 4 * FORESEEN_LAYERS * topK), topK };
  }

  #recordForecast(first: number): Recorder {
    const pass = this.#pass(1);
    forecast(pass, this.#model, first, FORESEEN_LAYERS, this.#forecastOutput().experts);
    return pass.rec;
  }

  async #forecastProgram(first: number): Promise<Program> {
    let program = this.#forecasts.get(first);
    if (!program) {
      program = await this.#recordForecast(first).build(`forecast from layer ${first}`, this.#forecastStep);
      this.#forecasts.set(first, program);
    }
    return program;
  }

  #submit(ids: readonly number[], program: Program, parts: BackParts): void {
    const gpu = this.#gpu;
    gpu.assertAlive();
    const { position } = this.state;
    gpu.write(this.#step, 0, new Uint32Array([position, ids.length, 0, 0]));
    const encoder = gpu.device.createCommandEncoder();
    gpu.write(this.#input.tokens, 0, this.#placeImages(encoder, ids));
    const positions = sequencePositions(position, ids.length, this.#images);
    gpu.write(this.#input.rope, 0, ropeTable(this.#model.config.rope, positions));
    program.encode(encoder, this.#profiler);
    this.#copyBack(encoder, parts);
    if (parts.choose && ids.length === 1) {
      this.stepCost.dispatches = program.dispatchCount;
      this.stepCost.readbackBytes = this.#backBytes(parts).size;
      this.stepCost.weightBytes = program.weightBytes;
    }
    gpu.device.queue.submit([encoder.finish()]);
    this.state.position += ids.length;
    this.prefix.advance(ids);
  }

  /** The part of the readback buffer that is used: candidates, then the step buffer, then experts. */
  #backBytes({ choose, routed, tokens }: BackParts): { offset: number; size: number; expertBytes: number } {
    const { ffn, layers } = this.#model.config;
    const expertBytes = routed && ffn.kind === 'moe' ? 4 * layers.length * tokens * ffn.topK : 0;
    const offset = choose ? 0 : this.#output.size;
    return { offset, size: this.#output.size - offset + (routed ? STEP_BYTES + expertBytes : 0), expertBytes };
  }

  #copyBack(encoder: GPUCommandEncoder, parts: BackParts): void {
    const to = this.#readback.buffer;
    const after = this.#output.size;
    if (parts.choose) encoder.copyBufferToBuffer(this.#output.buffer, 0, to, 0, after);
    if (!parts.routed) return;
    const { experts } = routing(this.#scratch, this.#model.config);
    encoder.copyBufferToBuffer(this.#step.buffer, 0, to, after, STEP_BYTES);
    encoder.copyBufferToBuffer(experts.buffer, 0, to, after + STEP_BYTES, this.#backBytes(parts).expertBytes);
  }

  async #readBack(parts: BackParts): Promise<Back> {
    const { buffer } = this.#readback;
    const { offset, size, expertBytes } = this.#backBytes(parts);
    await this.#gpu.map(buffer, offset, size);
    const bytes = buffer.getMappedRange(offset, size).slice(0);
    buffer.unmap();
    this.#gpu.assertAlive();
    const after = this.#output.size - offset;
    if (!parts.routed) return { candidates: bytes, halt: 0, chosen: () => new Uint32Array() };
    const experts = new Uint32Array(bytes, after + STEP_BYTES, expertBytes / 4);
    const pairs = experts.length / this.#model.layers.length;
    return {
      candidates: bytes.slice(0, after),
      halt: new Uint32Array(bytes, after + HALT_AT, 1)[0],
      chosen: (layer) => experts.subarray(layer * pairs, (layer + 1) * pairs),
    };
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
    this.#gpu.assertAlive();
    if (this.state.reserve(this.state.position + tokens)) this.#dropPrograms();
    const key = `${tokens} ${choose}`;
    let program = this.#programs.get(key);
    if (!program) {
      program = await this.#record(tokens, choose).rec.build(`${tokens} tokens`, this.#step);
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

  #record(tokens: number, choose: boolean): Pass {
    const pass = this.#pass(tokens);
    const x = decoder(pass, this.#model, this.state);
    if (!choose) return pass;
    head(pass, this.#model, x, this.#logits, tokens - 1, 1);
    const { vocabulary } = this.#model.config;
    const partials = this.#scratch.bytes('logit partials', candidateSizes.partials(vocabulary));
    const histograms = this.#scratch.bytes('logit histograms', candidateSizes.histograms);
    candidates(
      pass.rec,
      { logits: this.#logits, penalties: this.#penalties, partials, histograms, output: this.#output },
      vocabulary,
    );
    return pass;
  }

  /** Logits of `count` rows, and where they are read back to. */
  #createLogitRows(count: number): [rows: GpuBuffer, readback: GpuBuffer] {
    const bytes = count * this.#model.config.vocabulary * 4;
    return [
      this.#gpu.createBuffer('logit rows', bytes),
      this.#gpu.createBuffer('logit rows readback', bytes, BufferUsage.MAP_READ | BufferUsage.COPY_DST),
    ];
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

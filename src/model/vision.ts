import { QwenError, throwIfAborted } from '../errors.ts';
import { type Bindable, type Gpu, type GpuBuffer, Recorder } from '../gpu/index.ts';
import { biasAct } from '../kernels/bias-act.ts';
import { layerNorm } from '../kernels/layer-norm.ts';
import { product } from '../kernels/matmul.ts';
import {
  gridPoints,
  MAX_VISION_HEAD_DIM,
  type PatchRun,
  visionAttention,
  visionPatches,
  visionPosition,
  visionRotary,
  visionTurns,
} from '../kernels/vision.ts';
import type { WeightMatrix } from '../kernels/weight-matrix.ts';
import type { Weights } from '../weights/types.ts';
import { MetadataReader } from './config.ts';
import { padded, TensorLoader } from './tensor-loader.ts';

/** Sizes of a vision tower, read from the metadata of an `mmproj` file. Source: qwen35.md §7. */
export interface VisionConfig {
  readonly name: string;
  readonly width: number;
  readonly heads: number;
  readonly headDim: number;
  readonly ffnWidth: number;
  readonly blocks: number;
  readonly eps: number;
  /** Pixels a side. */
  readonly patchSize: number;
  /** Patches a side of the squares that become one token. */
  readonly merge: number;
  /** Points a side of the learned grid of positions. */
  readonly points: number;
  /** The text model's hidden size. */
  readonly projection: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

interface Linear {
  readonly weight: WeightMatrix;
  readonly bias: GpuBuffer;
}

interface VisionBlock {
  /** `[2, width]`: weight, then bias. */
  readonly norm1: GpuBuffer;
  readonly norm2: GpuBuffer;
  readonly q: WeightMatrix;
  readonly k: WeightMatrix;
  readonly v: WeightMatrix;
  /** `[3, width]`: of q, k and v. */
  readonly qkvBias: GpuBuffer;
  readonly out: Linear;
  readonly up: Linear;
  readonly down: Linear;
}

/** @throws QwenError `unsupported-gguf` for another projector, `corrupt-gguf` for impossible sizes */
export function readVisionConfig({
  metadata,
  name,
  tensors,
}: Pick<Weights, 'metadata' | 'name' | 'tensors'>): VisionConfig {
  const read = new MetadataReader(metadata, name);
  const unsupported = (what: string) =>
    new QwenError('unsupported-gguf', `${name} ${what}. Give the mmproj file that belongs to the Qwen 3.5 model.`, {
      file: name,
    });
  const architecture = read.text('general.architecture');
  if (architecture !== 'clip') throw unsupported(`is a ${architecture} model, not a vision tower`);
  read.prefix = 'clip';
  const projector = read.text('projector_type');
  if (projector !== 'qwen3vl_merger') throw unsupported(`has a projector of type ${projector}, not qwen3vl_merger`);
  read.prefix = 'clip.vision';
  if (read.flags('is_deepstack_layers')?.some(Boolean)) throw unsupported('has deepstack layers, which are not run');

  const width = read.size('embedding_length');
  const heads = read.size('attention.head_count');
  const headDim = width / heads;
  const merge = read.size('spatial_merge_size', 2);
  const patchSize = read.size('patch_size');
  if (heads < 1 || headDim % 4 !== 0) throw read.corrupt('attention.head_count', `${heads} does not suit ${width}`);
  if (headDim > MAX_VISION_HEAD_DIM) throw unsupported(`has heads of ${headDim} dimensions`);
  if (patchSize < 1 || merge < 1) throw read.corrupt('patch_size', 'or spatial_merge_size is 0');
  // What is multiplied comes in whole chunks, without gaps between the patches that are merged.
  const unit = merge ** 2 * width;
  if (padded(unit) !== unit || padded(3 * patchSize ** 2) !== 3 * patchSize ** 2) {
    throw unsupported(`has patches of ${patchSize} pixels and ${width} values`);
  }
  const points = Math.sqrt(tensors.get('v.position_embd.weight')?.shape[0] ?? 0);
  if (!Number.isInteger(points) || points < 1) throw read.corrupt('v.position_embd.weight', 'is no square grid');
  return {
    name,
    width,
    heads,
    headDim,
    ffnWidth: read.size('feed_forward_length'),
    blocks: read.size('block_count'),
    eps: read.number('attention.layer_norm_epsilon'),
    patchSize,
    merge,
    points,
    projection: read.size('projection_dim'),
    mean: read.sizes('image_mean', [0.5, 0.5, 0.5]),
    std: read.sizes('image_std', [0.5, 0.5, 0.5]),
  };
}

/** A picture of a size that the tower takes: multiples of `patchSize · merge`. */
export interface VisionPicture {
  readonly width: number;
  readonly height: number;
  /** `[height, width]` RGBA; alpha is not read. */
  readonly rgba: Uint8Array<ArrayBuffer>;
  /** The second frame of a pair, of a video; a still picture is its own second frame. */
  readonly second?: Uint8Array<ArrayBuffer>;
}

/** Most pixels of a picture, as this device's limits allow. */
export function maxVisionPixels(gpu: Pick<Gpu, 'limits'>, { width, patchSize }: VisionConfig): number {
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.limits;
  const patches = Math.min(maxStorageBufferBindingSize, maxBufferSize) / (padded(width) * 4);
  return Math.floor(patches) * patchSize ** 2;
}

/** Scores of a submit: at 1,152 values a patch some 40 thousand million operations, a tenth of a second on a small GPU. */
const SUBMIT_SCORES = 2 ** 23;

/** Patches that one dispatch of a row-wise product takes: bounds the memory of the wide intermediate results. */
const RUN_PATCHES = 1024;

/** A vision tower on the GPU. Its intermediate results live only while a picture is read. */
export class VisionTower {
  private constructor(
    readonly config: VisionConfig,
    private readonly gpu: Gpu,
    private readonly loader: TensorLoader,
    private readonly tensors: ReturnType<typeof towerTensors>,
  ) {}

  /** Uploads a tower. @throws QwenError; nothing stays allocated after a failure */
  static async load(
    gpu: Gpu,
    weights: Weights,
    { signal, onLoaded }: { signal?: AbortSignal; onLoaded?: (loadedBytes: number, totalBytes: number) => void } = {},
  ): Promise<VisionTower> {
    const config = readVisionConfig(weights);
    const loader = new TensorLoader(gpu, weights);
    try {
      const tensors = towerTensors(loader, config);
      const { totalBytes } = loader;
      let loadedBytes = 0;
      await loader.load((bytes) => {
        loadedBytes += bytes;
        onLoaded?.(loadedBytes, totalBytes);
      }, signal);
      return new VisionTower(config, gpu, loader, tensors);
    } catch (error) {
      loader.disposeOwned();
      throw error;
    }
  }

  /**
   * Reads a picture. @returns embeddings, `[tokens, projection]` f32, row by row of merged squares; the caller's to dispose
   * @param f16 f16 tiles in products @param runPatches that one dispatch of a row-wise product takes
   * @throws QwenError `device-limit`, `out-of-memory`; the signal's reason on abort, which is looked at after each block
   */
  async embed(
    picture: VisionPicture,
    {
      f16 = false,
      runPatches = RUN_PATCHES,
      signal,
    }: { f16?: boolean; runPatches?: number; signal?: AbortSignal } = {},
  ) {
    const run = new TowerRun(this.gpu, this.config, this.tensors, picture, f16, runPatches);
    try {
      return await run.embed(signal);
    } finally {
      run.dispose();
    }
  }

  dispose(): void {
    this.loader.disposeOwned();
  }
}

function towerTensors(loader: TensorLoader, config: VisionConfig) {
  const { width, ffnWidth, projection, patchSize, merge, points, blocks } = config;
  const pad = { pad: true };
  const linear = (name: string, rows: number, columns: number): Linear => ({
    weight: loader.matrix(`${name}.weight`, [rows, columns], undefined, pad),
    bias: loader.vector([`${name}.bias`], rows),
  });
  const norm = (name: string) => loader.vector([`${name}.weight`, `${name}.bias`], width);
  const taps = 3 * patchSize ** 2;
  return {
    // One kernel for each of the two frames of a temporal patch.
    patch: [
      loader.matrix('v.patch_embd.weight', [width, taps]),
      loader.matrix('v.patch_embd.weight.1', [width, taps]),
    ] as const,
    patchBias: loader.vector(['v.patch_embd.bias'], width),
    position: loader.vector(['v.position_embd.weight'], points ** 2 * width),
    blocks: Array.from({ length: blocks }, (_, i): VisionBlock => {
      const name = (suffix: string) => `v.blk.${i}.${suffix}`;
      const qkv = (part: number) =>
        loader.matrix(name('attn_qkv.weight'), [width, width], { first: part * width, count: width }, pad);
      return {
        norm1: norm(name('ln1')),
        norm2: norm(name('ln2')),
        q: qkv(0),
        k: qkv(1),
        v: qkv(2),
        qkvBias: loader.vector([name('attn_qkv.bias')], 3 * width),
        out: linear(name('attn_out'), width, width),
        up: linear(name('ffn_up'), ffnWidth, width),
        down: linear(name('ffn_down'), width, ffnWidth),
      };
    }),
    postNorm: norm('v.post_ln'),
    merge0: linear('mm.0', merge ** 2 * width, merge ** 2 * width),
    merge2: linear('mm.2', projection, merge ** 2 * width),
  };
}

/** Rows of one run, but for keys and values, which have one for every patch. */
type BlockBuffers = Record<'h' | 'q' | 'k' | 'v' | 'y' | 'inner', GpuBuffer>;

/** The tower's block diagram for one picture. Rows have `stride` floats: the columns beyond the width stay zero. */
class TowerRun {
  readonly #owned: { dispose(): void }[] = [];
  readonly #patches: number;
  readonly #stride: number;
  readonly #step: GpuBuffer;

  constructor(
    private readonly gpu: Gpu,
    private readonly config: VisionConfig,
    private readonly tensors: ReturnType<typeof towerTensors>,
    private readonly picture: VisionPicture,
    private readonly f16: boolean,
    private readonly runPatches: number,
  ) {
    const { patchSize } = config;
    this.#patches = (picture.width / patchSize) * (picture.height / patchSize);
    this.#stride = padded(config.width);
    this.#step = this.#own(gpu.createBuffer('vision step', 16));
  }

  async embed(signal?: AbortSignal): Promise<GpuBuffer> {
    const { config, tensors } = this;
    const x = this.#rows('patches', this.#patches, this.#stride); // [T, stride]
    await this.#submit((rec) => this.#embedPatches(rec, x), signal);
    const turns = this.#upload('turns', visionTurns(Math.max(...this.#grid), config.headDim));
    const rows = Math.min(this.runPatches, this.#patches);
    const buffers = {
      h: this.#rows('normed', rows, this.#stride), // [run, stride]
      q: this.#rows('query', rows, this.#stride), // [run, stride]
      k: this.#rows('keys', this.#patches, this.#stride), // [T, stride]
      v: this.#rows('values', this.#patches, this.#stride), // [T, stride]
      y: this.#rows('mixed', rows, this.#stride), // [run, stride]
      inner: this.#rows('inner', rows, padded(config.ffnWidth)), // [run, ffn]
    };
    for (const block of tensors.blocks) {
      await this.#submitAll(
        [
          ...this.#runs().map((run) => (rec: Recorder) => this.#keysAndValues(rec, block, run, x, turns, buffers)),
          ...this.#runs().map((run) => (rec: Recorder) => this.#mix(rec, block, run, x, turns, buffers)),
        ],
        signal,
      );
    }
    const embeddings = this.gpu.createBuffer(
      'image embeddings',
      (this.#patches / config.merge ** 2) * config.projection * 4,
    );
    try {
      await this.#submit((rec) => this.#mergePatches(rec, x, embeddings), signal);
      return embeddings;
    } catch (error) {
      embeddings.dispose();
      throw error;
    }
  }

  /** Rows and columns of patches. */
  get #grid(): readonly [height: number, width: number] {
    const { patchSize } = this.config;
    return [this.picture.height / patchSize, this.picture.width / patchSize];
  }

  #runs(): PatchRun[] {
    const { merge } = this.config;
    const runs: PatchRun[] = [];
    for (let first = 0; first < this.#patches; first += this.runPatches) {
      runs.push({
        first,
        count: Math.min(this.runPatches, this.#patches - first),
        gridWidth: this.#grid[1],
        merge,
      });
    }
    return runs;
  }

  #slice(buffer: GpuBuffer, { first, count }: PatchRun): Bindable {
    return { buffer, offset: first * this.#stride * 4, size: count * this.#stride * 4 };
  }

  #rows(label: string, rows: number, floats: number): GpuBuffer {
    return this.#own(this.gpu.createBuffer(`vision ${label}`, rows * floats * 4));
  }

  #upload(label: string, data: ArrayBufferView<ArrayBuffer>): GpuBuffer {
    return this.#own(this.gpu.upload(`vision ${label}`, data));
  }

  #own(buffer: GpuBuffer): GpuBuffer {
    this.#owned.push(buffer);
    return buffer;
  }

  /** A large picture takes seconds a block, and drivers end what takes longer without a break: so few runs at a time. */
  async #submitAll(steps: readonly ((rec: Recorder) => void)[], signal?: AbortSignal): Promise<void> {
    const scores = Math.min(this.runPatches, this.#patches) * this.#patches;
    const together = Math.max(1, Math.floor(SUBMIT_SCORES / scores));
    for (let at = 0; at < steps.length; at += together) {
      await this.#submit((rec) => {
        for (const step of steps.slice(at, at + together)) step(rec);
      }, signal);
    }
  }

  async #submit(record: (rec: Recorder) => void, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    const { gpu } = this;
    const rec = new Recorder(gpu);
    record(rec);
    const program = await rec.build('vision', this.#step);
    try {
      const encoder = gpu.device.createCommandEncoder();
      program.encode(encoder);
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.device.queue.onSubmittedWorkDone();
      gpu.assertAlive();
    } finally {
      program.dispose();
    }
  }

  dispose(): void {
    for (const resource of this.#owned.splice(0)) resource.dispose();
  }

  /** x = patch embedding of both frames, which are alike in a still picture, + bias + position. */
  #embedPatches(rec: Recorder, x: GpuBuffer): void {
    const { config, tensors, f16 } = this;
    const { width, patchSize, points } = config;
    const [height, gridWidth] = this.#grid;
    const taps = 3 * patchSize ** 2;
    const first = this.#upload('pixels', this.picture.rgba);
    const second = this.picture.second && this.#upload('second pixels', this.picture.second);
    const patches = this.#rows('taps', Math.min(this.runPatches, this.#patches), taps); // [run, 3·P²]
    const position = {
      grid: tensors.position,
      bias: tensors.patchBias,
      rows: this.#upload('grid rows', gridPoints(height, points)),
      columnsAt: this.#upload('grid columns', gridPoints(gridWidth, points)),
    };
    for (const run of this.#runs()) {
      const rows = this.#slice(x, run);
      visionPatches(rec, first, patches, run, config);
      product(rec, tensors.patch[0], patches, rows, run.count, { stride: this.#stride, f16 });
      if (second) visionPatches(rec, second, patches, run, config);
      product(rec, tensors.patch[1], patches, rows, run.count, { stride: this.#stride, f16, accumulate: true });
      visionPosition(rec, position, rows, run, { points, columns: width, stride: this.#stride });
    }
  }

  /** Of a run of patches; all runs' come before the first query. */
  #keysAndValues(
    rec: Recorder,
    block: VisionBlock,
    run: PatchRun,
    x: GpuBuffer,
    turns: GpuBuffer,
    { h, k, v }: BlockBuffers,
  ): void {
    const { width, heads, headDim, eps } = this.config;
    const stride = this.#stride;
    const options = { stride, f16: this.f16 };
    const [xRows, kRows, vRows] = [x, k, v].map((buffer) => this.#slice(buffer, run));
    const norm = { rows: run.count, columns: width, eps, xStride: stride, yStride: stride };
    layerNorm(rec, xRows, block.norm1, h, norm);
    product(rec, block.k, h, kRows, run.count, options);
    product(rec, block.v, h, vRows, run.count, options);
    visionRotary(rec, kRows, block.qkvBias, turns, run, { heads, headDim, stride }, width);
    biasAct(rec, vRows, block.qkvBias, 'none', { rows: run.count, columns: width, stride, biasAt: 2 * width });
  }

  /** x += attention(norm1(x)); x += mlp(norm2(x)). */
  #mix(
    rec: Recorder,
    block: VisionBlock,
    run: PatchRun,
    x: GpuBuffer,
    turns: GpuBuffer,
    { h, q, k, v, y, inner }: BlockBuffers,
  ): void {
    const { width, heads, headDim, ffnWidth, eps } = this.config;
    const stride = this.#stride;
    const dims = { heads, headDim, stride };
    const options = { stride, f16: this.f16 };
    const rows = { rows: run.count, columns: width, stride };
    const norm = { rows: run.count, columns: width, eps, xStride: stride, yStride: stride };
    const xRows = this.#slice(x, run);
    layerNorm(rec, xRows, block.norm1, h, norm);
    product(rec, block.q, h, q, run.count, options);
    visionRotary(rec, q, block.qkvBias, turns, run, dims);
    visionAttention(rec, { q, k, v, y }, run.count, this.#patches, dims);
    product(rec, block.out.weight, y, xRows, run.count, { ...options, accumulate: true });
    biasAct(rec, xRows, block.out.bias, 'none', rows);

    layerNorm(rec, xRows, block.norm2, h, norm);
    const wide = { rows: run.count, columns: ffnWidth, stride: padded(ffnWidth) };
    product(rec, block.up.weight, h, inner, run.count, { stride: wide.stride, f16: this.f16 });
    biasAct(rec, inner, block.up.bias, 'gelu-tanh', wide);
    product(rec, block.down.weight, inner, xRows, run.count, { ...options, accumulate: true });
    biasAct(rec, xRows, block.down.bias, 'none', rows);
  }

  /** Four neighbours to one token: mm.2 · gelu(mm.0 · norm(x)). */
  #mergePatches(rec: Recorder, x: GpuBuffer, embeddings: GpuBuffer): void {
    const { config, tensors, f16 } = this;
    const { width, merge, projection, eps } = config;
    const unit = merge ** 2 * width;
    const rows = Math.min(this.runPatches, this.#patches);
    const normed = this.#rows('merged', rows, width); // [run, width] = [run / 4, 4·width]
    const inner = this.#rows('merger inner', rows / merge ** 2, unit); // [run / 4, 4·width]
    for (const run of this.#runs()) {
      const tokens = run.count / merge ** 2;
      const out = {
        buffer: embeddings,
        offset: (run.first / merge ** 2) * projection * 4,
        size: tokens * projection * 4,
      };
      layerNorm(rec, this.#slice(x, run), tensors.postNorm, normed, {
        rows: run.count,
        columns: width,
        eps,
        xStride: this.#stride,
      });
      product(rec, tensors.merge0.weight, normed, inner, tokens, { f16 });
      biasAct(rec, inner, tensors.merge0.bias, 'gelu-erf', { rows: tokens, columns: unit });
      product(rec, tensors.merge2.weight, inner, out, tokens, { f16 });
      biasAct(rec, out, tensors.merge2.bias, 'none', { rows: tokens, columns: projection });
    }
  }
}

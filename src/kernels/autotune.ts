/**
 * Which shapes of the kernels that matter are the fastest on a device, measured on a small random matrix. Unmeasured, the
 * first of each kernel's table is taken; the measurement may only improve on that, and what it finds must give that one's results.
 */
import { type Gpu, Profiler, Recorder } from '../gpu/index.ts';
import type { TensorType } from '../weights/types.ts';
import type { KernelChoices } from './choices.ts';
import {
  type DeltaNetDims,
  type DeltaNetShape,
  deltaChannels,
  deltaNet,
  deltaNetShapes,
  projectionStride,
} from './delta-net.ts';
import { int8Shapes, type MatmulShape, type MatmulWidth, matmul, matmulShapes } from './matmul.ts';
import { type MatvecShape, matvec, matvecShapes } from './matvec.ts';
import { quantizeActivations, quantizedBytes } from './quantize-activations.ts';
import { WeightMatrix } from './weight-matrix.ts';

export interface AutotuneSettings {
  /** Tensor type that most weights of the model have. */
  type: TensorType;
  deltaNet: DeltaNetDims;
  /** Tiles in f16. */
  f16: boolean;
  /** Products of small integers are candidates too. Default false. */
  int8?: boolean;
  /** No candidate is begun after this; default a second. */
  budgetMs?: number;
  signal?: AbortSignal;
  /** How long a candidate takes (tests). */
  measure?: Measure;
  /** Milliseconds (tests). */
  now?: () => number;
}

/** Milliseconds that one dispatch takes. */
export type Measure = (record: (rec: Recorder) => void, candidate: Candidate) => Promise<number>;

/** A kernel, and the shape it is given. */
export interface Candidate {
  readonly kernel: 'matvec' | `matmul ${MatmulWidth}` | `int8 matmul ${MatmulWidth}` | 'deltaNet';
  readonly shape: MatvecShape | MatmulShape | DeltaNetShape;
}

const BUDGET_MS = 1000;

/** Another shape than the table's must be faster by this factor, so that noise does not choose. */
const WORTH_IT = 0.95;

/** Of the matrix that is multiplied. */
const [ROWS, COLUMNS] = [2048, 2048];
const TOKENS = { wide: 128, narrow: 16 } as const satisfies Record<MatmulWidth, number>;

/** The candidates of one kernel, the table's first, and what a win means. */
interface Contest<Shape extends Candidate['shape']> {
  readonly kernel: Candidate['kernel'];
  readonly shapes: readonly Shape[];
  record(rec: Recorder, shape: Shape): void;
  adopt(choices: KernelChoices, shape: Shape): KernelChoices;
  /** What the last candidate computed. */
  result?(): Promise<Float32Array>;
}

/**
 * Measures until the budget is used up; kernels that were not reached keep their table's shape. The device should be one of its
 * own, because a candidate that a driver refuses, or dies of, takes the device with it.
 * @throws the signal's reason on abort; what the device throws when it fails, with nothing left allocated
 */
export async function autotune(gpu: Gpu, settings: AutotuneSettings): Promise<KernelChoices> {
  const { budgetMs = BUDGET_MS, now = () => performance.now(), signal } = settings;
  const field = new Field(gpu, settings);
  const end = now() + budgetMs;
  try {
    const measure = settings.measure ?? field.measure;
    let choices: KernelChoices = {};
    const hold = async <Shape extends Candidate['shape']>(contest: Contest<Shape>): Promise<void> => {
      const { kernel, shapes } = contest;
      let best: { shape: Shape; ms: number } | undefined;
      let expected: Float32Array | undefined;
      if (shapes.length < 2) return;
      for (const shape of shapes) {
        signal?.throwIfAborted();
        if (now() >= end) break;
        let ms: number;
        field.clear();
        try {
          ms = await measure((rec) => contest.record(rec, shape), { kernel, shape });
        } catch (error) {
          // Without the table's own there is nothing to compare with, and a device that is gone runs nothing more.
          if (!best) throw error;
          gpu.assertAlive();
          console.warn(`A shape of ${kernel} does not run on ${gpu.adapterName}:`, shape, error);
          continue;
        }
        const result = await contest.result?.();
        expected ??= result;
        if (result && expected && !agrees(result, expected)) {
          console.warn(`A shape of ${kernel} gives wrong results on ${gpu.adapterName}:`, shape);
          continue;
        }
        if (!best || ms < best.ms * (best.shape === shapes[0] ? WORTH_IT : 1)) best = { shape, ms };
      }
      if (best) choices = contest.adopt(choices, best.shape);
    };
    await hold(field.matvec());
    for (const width of ['wide', 'narrow'] as const) {
      await hold(field.matmul(width));
      if (settings.int8) await hold(field.int8Matmul(width, choices.matmul?.[width]));
      if (width === 'wide') await hold(field.deltaNet());
    }
    return choices;
  } finally {
    field.dispose();
  }
}

/** Whether two kernels gave the same products, up to the rounding of f16 tiles and of x to 8 bits. */
function agrees(result: Float32Array, expected: Float32Array): boolean {
  const size = Math.sqrt(expected.reduce((sum, v) => sum + v * v, 0) / expected.length);
  return result.every((v, i) => Math.abs(v - expected[i]) <= SAME * size);
}

/** Errors of f16 tiles stay below a hundredth of this, those of 8 bits below a half. */
const SAME = 0.1;

/** What candidates are run on. */
class Field {
  readonly #gpu: Gpu;
  readonly #settings: AutotuneSettings;
  readonly #owned: { dispose(): void }[] = [];
  readonly #profiler: Profiler | undefined;
  readonly #weights: WeightMatrix;
  readonly #x;
  readonly #y;
  readonly #step;

  constructor(gpu: Gpu, settings: AutotuneSettings) {
    this.#gpu = gpu;
    this.#settings = settings;
    this.#profiler = gpu.capabilities.timestamps ? this.#own(new Profiler(gpu)) : undefined;
    this.#weights = this.#own(WeightMatrix.allocate(gpu, 'autotune', settings.type, [ROWS, COLUMNS]));
    for (const { planes } of this.#weights.parts) {
      for (const plane of Object.values(planes)) gpu.write(plane, 0, harmlessBytes(plane.size));
    }
    this.#x = this.#buffer(TOKENS.wide * COLUMNS);
    gpu.write(
      this.#x,
      0,
      Float32Array.from({ length: TOKENS.wide * COLUMNS }, (_, i) => scrambled(i) / 128 - 1),
    );
    this.#y = this.#buffer(TOKENS.wide * ROWS);
    this.#step = this.#buffer(8);
  }

  matvec(): Contest<MatvecShape> {
    return {
      kernel: 'matvec',
      result: () => this.#products(1),
      shapes: matvecShapes(this.#gpu),
      record: (rec, shape) => matvec(rec, this.#weights, this.#x, this.#y, 1, { shape }),
      adopt: (choices, shape) => ({ ...choices, matvec: shape }),
    };
  }

  matmul(width: MatmulWidth): Contest<MatmulShape> {
    const { f16 } = this.#settings;
    return {
      kernel: `matmul ${width}`,
      result: () => this.#products(TOKENS[width]),
      shapes: matmulShapes(this.#gpu, width, f16),
      record: (rec, shape) => matmul(rec, this.#weights, this.#x, this.#y, TOKENS[width], { f16, shape }),
      adopt: (choices, shape) => ({ ...choices, matmul: { ...choices.matmul, [width]: shape } }),
    };
  }

  /** Products of small integers, x quantised for each, after the one in floats that they have to beat and to agree with. */
  int8Matmul(width: MatmulWidth, float: MatmulShape | undefined): Contest<MatmulShape> {
    const { f16 } = this.#settings;
    const tokens = TOKENS[width];
    const integers = this.#weights.hasIntegers ? int8Shapes(this.#gpu, width) : [];
    const quantized = this.#own(this.#gpu.createBuffer('autotune', quantizedBytes(tokens * COLUMNS)));
    const record = (rec: Recorder, shape: MatmulShape) => {
      const quantize = () => {
        quantizeActivations(rec, this.#x, quantized, tokens * COLUMNS);
        return quantized;
      };
      matmul(rec, this.#weights, this.#x, this.#y, tokens, { f16, shape, quantized: quantize });
    };
    return {
      kernel: `int8 matmul ${width}`,
      result: () => this.#products(tokens),
      shapes: [float ?? matmulShapes(this.#gpu, width, f16)[0], ...integers],
      record,
      adopt: (choices, shape) => ({ ...choices, matmulInt8: { ...choices.matmulInt8, [width]: shape } }),
    };
  }

  deltaNet(): Contest<DeltaNetShape> {
    const { deltaNet: dims } = this.#settings;
    const { valueHeads, headDim } = dims;
    const tokens = TOKENS.wide;
    const channels = deltaChannels(dims);
    const qkv = this.#buffer(tokens * channels);
    const projected = this.#buffer(tokens * projectionStride(dims));
    const gates = this.#buffer(tokens * 2 * valueHeads);
    const o = this.#buffer(tokens * valueHeads * headDim);
    const state = { conv: this.#buffer(3 * channels), recurrent: this.#buffer(valueHeads * headDim ** 2) };
    return {
      kernel: 'deltaNet',
      shapes: deltaNetShapes(this.#gpu, dims),
      record: (rec, shape) => deltaNet(rec, dims, { qkv, gates, projected, o }, state, tokens, { shape }),
      adopt: (choices, shape) => ({ ...choices, deltaNet: shape }),
    };
  }

  /** Once to compile and warm up, then as often as makes a millisecond or two, by timestamps where there are any. */
  measure: Measure = async (record) => {
    const gpu = this.#gpu;
    const recorder = new Recorder(gpu);
    record(recorder);
    const program = await recorder.build('autotune', this.#step);
    try {
      const run = async (times: number): Promise<number> => {
        const encoder = gpu.device.createCommandEncoder();
        for (let i = 0; i < times; i++) program.encode(encoder, this.#profiler);
        const started = performance.now();
        gpu.device.queue.submit([encoder.finish()]);
        if (this.#profiler) {
          const dispatches = await this.#profiler.take();
          return dispatches.reduce((sum, { ns }) => sum + ns / 1e6, 0) / times;
        }
        await gpu.device.queue.onSubmittedWorkDone();
        return (performance.now() - started) / times;
      };
      await run(1);
      const once = await run(1);
      if (once > LONG_MS) return once;
      const batches = [await run(BATCH), await run(BATCH)];
      gpu.assertAlive();
      return Math.min(...batches);
    } finally {
      program.dispose();
    }
  };

  dispose(): void {
    for (const owner of this.#owned) owner.dispose();
  }

  /** So that a candidate that does nothing is no match for one that did its work. */
  clear(): void {
    const encoder = this.#gpu.device.createCommandEncoder();
    encoder.clearBuffer(this.#y.buffer);
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  async #products(tokens: number): Promise<Float32Array> {
    return new Float32Array(await this.#gpu.read(this.#y.slice(0, 4 * tokens * ROWS)));
  }

  #buffer(floats: number) {
    return this.#own(this.#gpu.createBuffer('autotune', 4 * floats));
  }

  #own<T extends { dispose(): void }>(owner: T): T {
    this.#owned.push(owner);
    return owner;
  }
}

/** Bytes of quants and scales: whichever they are, as f16 or f32 they are small, positive and normal numbers. */
function harmlessBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = 0x10 + (scrambled(i) & 0x1f);
  return bytes;
}

/** A byte that looks random. */
function scrambled(i: number): number {
  return (Math.imul(i ^ (i >>> 7), 0x9e3779b1) >>> 24) & 0xff;
}

/** Browsers round timestamps to 0.1 ms: shorter dispatches are timed in batches. */
const LONG_MS = 3;
const BATCH = 16;

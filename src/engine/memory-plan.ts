/**
 * What a model will take of a device's memory, and how many experts there is room for, from the header alone. Nothing is
 * estimated twice: the plan is a rehearsal, in which the code that allocates runs on a device that only counts.
 */
import { QwenError } from '../errors.ts';
import { createPolicy } from '../experts/index.ts';
import type { Gpu, ShaderVariant } from '../gpu/index.ts';
import type { KvType } from '../kernels/attention.ts';
import type { ModelConfig } from '../model/config.ts';
import { TensorLoader } from '../model/tensor-loader.ts';
import { allocateTextModel } from '../model/text-model.ts';
import type { Weights } from '../weights/types.ts';
import { MOST_SNAPSHOTS, SNAPSHOT_BYTES, SNAPSHOT_SHARE } from './prefix-cache.ts';
import { StepRunner } from './step-runner.ts';
import type { MemoryPlan, SpeedAssumptions } from './types.ts';

export interface PlanSettings {
  contextLength: number;
  f16: boolean;
  int8?: boolean;
  kv: KvType;
  /** Tokens that the model's MTP block drafts; 0 leaves it out. Default 0. */
  drafts?: number;
  /** What must not be exceeded. */
  budgetBytes?: number;
  /** Without a budget: where experts beyond it are left to be streamed. */
  softBudgetBytes?: number;
  /** Kept free for the vision tower and its work. */
  visionBytes?: number;
  assume?: Partial<SpeedAssumptions>;
}

/** Snapshots that a model whose state is large gets nevertheless: behind the system message, and two turns. */
const WANTED_SNAPSHOTS = 3;

/** A large GPU of 2025 that reaches half of its 800 GB/s, and a store read with several requests in flight. */
const ASSUMED = { gpuBytesPerSecond: 400e9, storeBytesPerSecond: 2e9 } as const;

/** @throws QwenError `out-of-memory` where the budget does not hold even the fewest experts, saying how much would */
export function planMemory(gpu: Gpu, weights: Weights, config: ModelConfig, settings: PlanSettings): Planned {
  const rehearsal = new Rehearsal(gpu, weights, config, settings);
  const { ffn } = config;
  // An MTP block has a router and experts like a layer.
  const layers = [...config.layers, ...(settings.drafts ? ['MTP'] : [])];
  const [fewest, all] = ffn.kind === 'moe' ? [ffn.topK, ffn.experts] : [0, 0];
  const minimum = rehearsal.of(layers.map(() => fewest));
  const full = rehearsal.of(layers.map(() => all));
  const { budgetBytes, softBudgetBytes = Infinity, visionBytes = 0 } = settings;
  if (budgetBytes !== undefined && minimum.bytes > budgetBytes) throw tooSmall(weights, budgetBytes, minimum.bytes);

  const budget = budgetBytes ?? softBudgetBytes;
  const spare = Math.max(0, budget - minimum.bytes);
  const wanted = Math.min(Math.max(SNAPSHOT_BYTES, WANTED_SNAPSHOTS * minimum.snapshotBytes), spare * SNAPSHOT_SHARE);
  const snapshots = Math.min(MOST_SNAPSHOTS, Math.floor(wanted / minimum.snapshotBytes));
  const snapshotBytes = snapshots * minimum.snapshotBytes;

  const room = budget - snapshotBytes - visionBytes;
  const fits = (slots: readonly number[]) => rehearsal.of(slots).bytes <= room;
  const each = mostThat(fewest, all, (n) => fits(layers.map(() => n)));
  const extra =
    each === all ? 0 : mostThat(0, layers.length - 1, (n) => fits(layers.map((_, i) => each + Number(i < n))));
  const slots = layers.map((_, i) => each + Number(i < extra));
  // What makes greedy answers faster costs neither an expert nor a snapshot its place.
  const canGoAhead = !settings.drafts && slots.every((n) => n === all);
  const stepsAhead = canGoAhead && rehearsal.of(slots, true).bytes <= room;
  const chosen = rehearsal.of(slots, stepsAhead);
  const expertFileBytes = ffn.kind === 'moe' ? chosen.expertBytes.reduce((sum, bytes) => sum + bytes * all, 0) : 0;
  const residentFileBytes = slots.reduce((sum, n, layer) => sum + n * (chosen.expertBytes[layer] ?? 0), 0);
  const plan = {
    budgetBytes,
    modelBytes: weights.byteLength,
    sharedBytes: chosen.sharedBytes,
    contextBytes: chosen.contextBytes,
    workBytes: chosen.bytes - chosen.sharedBytes - chosen.contextBytes - chosen.stackBytes,
    snapshotBytes,
    expertBytes: chosen.stackBytes,
    streamedBytes: expertFileBytes - residentFileBytes,
    totalBytes: chosen.bytes + snapshotBytes,
    minimumBytes: minimum.bytes,
    fullBytes: full.bytes,
    experts: all,
    slots: ffn.kind === 'moe' ? slots : [],
    stepsAhead,
    speed: estimate(config, slots, chosen, settings.assume),
  };
  return { plan, variants: chosen.variants };
}

export interface Planned {
  readonly plan: MemoryPlan;
  /** What will have to be compiled, so that it can be begun before there are weights. */
  readonly variants: readonly ShaderVariant[];
}

interface Rehearsed {
  /** Most bytes alive at a time, without snapshots. */
  readonly bytes: number;
  readonly sharedBytes: number;
  /** Of expert stacks. */
  readonly stackBytes: number;
  readonly contextBytes: number;
  /** Of one snapshot. */
  readonly snapshotBytes: number;
  /** Per layer, of one expert in the file. */
  readonly expertBytes: readonly number[];
  /** Of weights that a decoded token reads. */
  readonly weightBytes: number;
  readonly variants: readonly ShaderVariant[];
}

class Rehearsal {
  readonly #done = new Map<string, Rehearsed>();

  constructor(
    private readonly gpu: Gpu,
    private readonly weights: Weights,
    private readonly config: ModelConfig,
    private readonly settings: PlanSettings,
  ) {}

  /** With so many slots a layer. @param ahead whether steps are submitted ahead */
  of(slots: readonly number[], ahead = false): Rehearsed {
    const key = `${slots.join()} ${ahead}`;
    const done = this.#done.get(key) ?? this.#run(slots, ahead);
    this.#done.set(key, done);
    return done;
  }

  #run(slots: readonly number[], ahead: boolean): Rehearsed {
    const { config } = this;
    const { contextLength, f16, int8, kv, drafts = 0 } = this.settings;
    const gpu = this.gpu.rehearsal();
    const loader = new TensorLoader(gpu, this.weights);
    const shape = { layers: slots.length, experts: config.ffn.kind === 'moe' ? config.ffn.experts : 0 };
    const room = { slots, policy: createPolicy('lru', shape), early: true };
    const model = allocateTextModel(loader, config, { room, mtp: drafts > 0 });
    loader.rehearse();
    const modelBytes = gpu.bytes;
    const blocks = model.mtp ? [...model.layers, model.mtp.layer] : model.layers;
    const stackBytes = blocks.reduce((sum, { ffn }) => {
      return (
        sum + (ffn.kind === 'moe' ? Object.values(ffn.experts).reduce((all, { gpuBytes }) => all + gpuBytes, 0) : 0)
      );
    }, 0);
    const runner = new StepRunner(gpu, model, { contextLength, f16, int8, kv, drafts, ahead, snapshotBytes: 0 });
    const { programBytes, weightBytes, variants } = runner.rehearse(contextLength);
    return {
      bytes: gpu.peakBytes + programBytes,
      sharedBytes: modelBytes - stackBytes,
      stackBytes,
      contextBytes: runner.state.bytes,
      snapshotBytes: runner.state.recurrentBytes,
      expertBytes: model.experts?.shelves.map(({ expertBytes }) => expertBytes) ?? [],
      weightBytes,
      variants,
    };
  }
}

/** The largest whole number from `low` to `high` for which it holds, given that it holds up to some number; `low` if for none. */
function mostThat(low: number, high: number, holds: (n: number) => boolean): number {
  if (high > low && holds(high)) return high;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}

function estimate(
  { ffn }: ModelConfig,
  slots: readonly number[],
  { weightBytes, expertBytes }: Rehearsed,
  assume: Partial<SpeedAssumptions> = {},
): MemoryPlan['speed'] {
  const { gpuBytesPerSecond, storeBytesPerSecond } = { ...ASSUMED, ...assume };
  const [experts, topK] = ffn.kind === 'moe' ? [ffn.experts, ffn.topK] : [1, 0];
  const hitRate = assume.hitRate ?? (topK === 0 ? 1 : slots.reduce((sum, n) => sum + n / experts, 0) / slots.length);
  const wanted = expertBytes.reduce((sum, bytes) => sum + bytes * topK, 0);
  const missBytes = (1 - hitRate) * wanted;
  const seconds = weightBytes / gpuBytesPerSecond + missBytes / storeBytesPerSecond;
  return {
    tokensPerSecond: 1 / seconds,
    gpuBytesPerToken: weightBytes,
    missBytesPerToken: missBytes,
    assumptions: { gpuBytesPerSecond, storeBytesPerSecond, hitRate },
  };
}

function tooSmall({ name }: Weights, budget: number, minimum: number): QwenError {
  return new QwenError(
    'out-of-memory',
    `${name} needs at least ${minimum} bytes of GPU memory with this context, but gpuMemoryBytes is ${budget}. Raise it, or choose a smaller contextLength or model.`,
    { param: 'gpuMemoryBytes' },
  );
}

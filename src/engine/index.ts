import { QwenError } from '../errors.ts';
import { createPolicy, loadUsage, usageKey } from '../experts/index.ts';
import { Gpu, type OpenGpuOptions, type ShaderVariant } from '../gpu/index.ts';
import { repackVariants } from '../kernels/weight-matrix.ts';
import { type ModelConfig, readConfig, withYarn } from '../model/config.ts';
import { loadTextModel } from '../model/text-model.ts';
import { openWeights } from '../weights/index.ts';
import type { GgufMetadata, Weights } from '../weights/types.ts';
import { ImageReader } from './image-reader.ts';
import { chooseKernels } from './kernel-choices.ts';
import { type Planned, planMemory } from './memory-plan.ts';
import { arithmeticOf, choosePrecision } from './precision.ts';
import { ProgressMeter } from './progress.ts';
import { MOST_DRAFTS } from './step-runner.ts';
import { expertTypes, typesByBytes } from './tensor-types.ts';
import { TextEngine } from './text-engine.ts';
import type {
  KvType,
  LoadOptions,
  MemoryPlan,
  ModelInfo,
  ModelInput,
  PlanOptions,
  Precision,
  TokenModel,
} from './types.ts';

export type * from './types.ts';

/** Tokens of context when the caller names none: enough for a long chat, small enough for any device. */
const DEFAULT_CONTEXT = 32768;

/** Of the memory that a browser tells of, the part that experts may fill where no budget is given. */
const SAFE_SHARE = 3 / 4;

/** What a vision tower may take beside its file: embeddings that are kept, and the patches of a large picture. */
const VISION_WORK_BYTES = 2 ** 30;

/**
 * Opens the files, uploads the weights and compiles the kernels.
 * @param gpuOptions features to do without (tests)
 * @throws QwenError; the signal's reason on abort. Nothing stays allocated after a failure; what is stored stays stored.
 */
export async function loadTokenModel(
  options: LoadOptions,
  gpuOptions: OpenGpuOptions = {},
): Promise<{ model: TokenModel; metadata: GgufMetadata }> {
  const { model: input, signal, onProgress } = options;
  const store = options.store ?? (typeof indexedDB === 'undefined' ? 'none' : 'indexeddb');
  const gpu = await openGpu(options, gpuOptions);
  let weights: Weights | undefined;
  try {
    const precision = choosePrecision(options.precision, gpu);
    weights = await openWeights(input, { store, signal });
    const opened = weights;
    const meter = new ProgressMeter(weights, onProgress);
    meter.report('header', 0, 0, weights.name);
    // Before the weights: a setting that cannot be should not cost a download first.
    const config = chooseConfig(weights, options);
    const kvCache = chooseKvCache(options.kvCache, precision, gpu);
    const described = describe(config, weights, gpu, { precision, kvCache }, options);
    const kernels = await chooseKernels(gpu, {
      type: typesByBytes(weights.tensors.values())[0],
      deltaNet: config.deltaNet,
      ...arithmeticOf(precision, gpu),
      wanted: options.autotune,
      keep: store !== 'none',
      signal,
      // Counted apart: it is gone before the weights come.
      open: () => openGpu({ gpu: options.gpu }, gpuOptions),
    });
    const { plan, variants } = await planFor(gpu, weights, config, described, options);
    const types = [...weights.tensors.values()].map(({ type }) => type);
    // A device compiles in the order of asking, and weights wait for their repacking.
    compileAhead(gpu, [...repackVariants(types), ...variants]);
    const early = config.ffn.kind === 'moe' && !(options.waitForExperts ?? isLocal(input));
    const info = { ...described, kernels, vision: options.mmproj !== undefined, plan };
    const usage = config.ffn.kind === 'moe' ? await loadUsage(usageKey(weights), shapeOf(config)) : undefined;
    const room = usage && { slots: plan.slots, policy: createPolicy('forecast', shapeOf(config), usage), early };
    const textModel = await loadTextModel(gpu, weights, {
      config,
      signal,
      room,
      mtp: (described.draftTokens ?? 0) > 0,
      onProgress: (loaded, total, file) => meter.report('weights', loaded, total, file),
    });
    meter.report('compile');
    const images = new ImageReader(gpu, {
      hidden: textModel.config.hidden,
      modelName: info.name,
      mmproj: options.mmproj,
      store,
      f16: arithmeticOf(precision, gpu).f16,
    });
    const model = new TextEngine(gpu, textModel, weights, info, images, usage);
    await model.warmUp();
    meter.report('ready');
    if (early) model.loadOn();
    return { model, metadata: opened.metadata };
  } catch (error) {
    weights?.close();
    gpu.dispose();
    throw error;
  }
}

/**
 * What a model would take of this device, from its header; nothing is loaded or stored.
 * @throws QwenError as loading does
 */
export async function planModel(input: ModelInput, options: PlanOptions): Promise<MemoryPlan> {
  const gpu = await openGpu(options);
  try {
    const precision = choosePrecision(options.precision, gpu);
    const weights = await openWeights(input, { store: 'none', signal: options.signal });
    try {
      const config = chooseConfig(weights, options);
      const kvCache = chooseKvCache(options.kvCache, precision, gpu);
      const described = describe(config, weights, gpu, { precision, kvCache }, options);
      return (await planFor(gpu, weights, config, described, options)).plan;
    } finally {
      weights.close();
    }
  } finally {
    gpu.dispose();
  }
}

async function openGpu(
  { gpu, gpuMemoryBytes }: Pick<LoadOptions, 'gpu' | 'gpuMemoryBytes'>,
  gpuOptions: OpenGpuOptions = {},
): Promise<Gpu> {
  const implementation = gpu ?? (typeof navigator === 'undefined' ? undefined : navigator.gpu);
  if (!implementation) {
    throw new QwenError(
      'no-webgpu',
      'This browser has no WebGPU. Use a current Chrome, Edge, Safari 26 or Firefox; on an unusual system enable it at chrome://flags (WebGPU), and open the page over https or from localhost.',
    );
  }
  if (gpuMemoryBytes !== undefined && !(gpuMemoryBytes > 0)) {
    throw new QwenError(
      'invalid-request',
      `gpuMemoryBytes is ${gpuMemoryBytes}; it must be a number of bytes above 0.`,
      {
        param: 'gpuMemoryBytes',
      },
    );
  }
  return Gpu.open(implementation, { memoryBytes: gpuMemoryBytes, ...gpuOptions });
}

/**
 * WebGPU does not say how much memory there is. Chrome tells the machine's, in coarse steps and not beyond a limit, which
 * says what is there at least.
 */
function safeBytes(): number | undefined {
  const gibibytes = (globalThis.navigator as { deviceMemory?: number } | undefined)?.deviceMemory;
  return gibibytes === undefined ? undefined : SAFE_SHARE * gibibytes * 2 ** 30;
}

async function planFor(
  gpu: Gpu,
  weights: Weights,
  config: ModelConfig,
  {
    contextLength,
    precision,
    kvCache,
    draftTokens,
  }: Pick<ModelInfo, 'contextLength' | 'precision' | 'kvCache' | 'draftTokens'>,
  { gpuMemoryBytes, mmproj, signal, assume }: PlanOptions,
): Promise<Planned> {
  // Experts give way to the vision tower, which is loaded with the first picture; nothing else could.
  const yields = gpuMemoryBytes !== undefined && config.ffn.kind === 'moe';
  return planMemory(gpu, weights, config, {
    contextLength,
    ...arithmeticOf(precision, gpu),
    kv: kvCache,
    drafts: draftTokens,
    budgetBytes: gpuMemoryBytes,
    softBudgetBytes: safeBytes(),
    visionBytes: yields && mmproj !== undefined ? await visionBytes(mmproj, signal) : 0,
    assume,
  });
}

/** Kernels depend on sizes and tensor types alone: they compile while the weights come. What fails is told where it is awaited. */
function compileAhead(gpu: Gpu, variants: readonly ShaderVariant[]): void {
  for (const variant of variants) gpu.kernel(variant).catch(() => {});
}

async function visionBytes(mmproj: ModelInput, signal: AbortSignal | undefined): Promise<number> {
  const weights = await openWeights(mmproj, { store: 'none', signal });
  weights.close();
  return weights.byteLength + VISION_WORK_BYTES;
}

/** Of the routers whose choices are counted, whether or not the file's MTP block drafts this time. */
function shapeOf({ layers, mtpBlocks, ffn }: ModelConfig): { layers: number; experts: number } {
  return { layers: layers.length + Math.min(mtpBlocks, 1), experts: ffn.kind === 'moe' ? ffn.experts : 0 };
}

function isLocal(input: ModelInput): boolean {
  const first: unknown = Array.isArray(input) ? input[0] : input;
  return typeof first !== 'string';
}

const KV_TYPES: readonly KvType[] = ['f32', 'f16', 'q8_0'];

function chooseKvCache(wanted: KvType | undefined, precision: Precision, gpu: Gpu): KvType {
  if (wanted !== undefined && !KV_TYPES.includes(wanted)) {
    throw new QwenError('invalid-request', `kvCache is '${wanted}'; it may be '${KV_TYPES.join("', '")}'.`, {
      param: 'kvCache',
    });
  }
  return wanted ?? (arithmeticOf(precision, gpu).f16 ? 'f16' : 'f32');
}

/** As the file says, with what the caller wants of it changed. */
function chooseConfig(weights: Weights, { ropeScaling }: Pick<LoadOptions, 'ropeScaling'>): ModelConfig {
  const config = readConfig(weights);
  if (ropeScaling === undefined) return config;
  const { type, ...yarn } = ropeScaling;
  if (type !== 'yarn') {
    throw new QwenError('invalid-request', `ropeScaling.type is '${type}'; there is 'yarn' alone.`, {
      param: 'ropeScaling',
    });
  }
  return withYarn(config, yarn);
}

function describe(
  config: ModelConfig,
  weights: Weights,
  gpu: Gpu,
  chosen: Pick<ModelInfo, 'precision' | 'kvCache'>,
  {
    contextLength = Math.min(DEFAULT_CONTEXT, config.contextLength),
    draftTokens = 1,
  }: Pick<LoadOptions, 'contextLength' | 'draftTokens'>,
): Omit<ModelInfo, 'vision' | 'plan'> {
  if (!Number.isInteger(contextLength) || contextLength < 1 || contextLength > config.contextLength) {
    throw new QwenError(
      'invalid-request',
      `contextLength is ${contextLength}; ${config.name} takes whole numbers from 1 to ${config.contextLength}. For more than a model was made for, set ropeScaling.`,
      { param: 'contextLength' },
    );
  }
  if (!Number.isInteger(draftTokens) || draftTokens < 0 || draftTokens > MOST_DRAFTS) {
    throw new QwenError(
      'invalid-request',
      `draftTokens is ${draftTokens}; it takes whole numbers from 0 to ${MOST_DRAFTS}.`,
      {
        param: 'draftTokens',
      },
    );
  }
  const drafts = config.mtpBlocks > 0 ? draftTokens : 0;
  const tensors = [...weights.tensors.values()];
  return {
    name: config.name,
    architecture: config.architecture,
    layers: config.layers.length,
    hiddenSize: config.hidden,
    vocabularySize: config.vocabulary,
    contextLength,
    longestContext: config.contextLength,
    experts: config.ffn.kind === 'moe' ? config.ffn.experts : 0,
    expertsUsed: config.ffn.kind === 'moe' ? config.ffn.topK : 0,
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    fileBytes: weights.byteLength,
    quantization: typesByBytes(tensors)[0] ?? 'none',
    expertTypes:
      config.ffn.kind === 'moe' ? expertTypes(tensors, config.layers.length + Math.min(drafts, 1)) : undefined,
    adapter: gpu.adapterName,
    ...chosen,
    draftTokens: drafts,
  };
}

import { QwenError } from '../errors.ts';
import { Gpu, type OpenGpuOptions } from '../gpu/index.ts';
import { type ModelConfig, readConfig } from '../model/config.ts';
import { loadTextModel } from '../model/text-model.ts';
import { openWeights } from '../weights/index.ts';
import type { GgufMetadata, TensorInfo, Weights } from '../weights/types.ts';
import { ImageReader } from './image-reader.ts';
import { ProgressMeter } from './progress.ts';
import { TextEngine } from './text-engine.ts';
import type { LoadOptions, ModelInfo, TokenModel } from './types.ts';

export type * from './types.ts';

/** Tokens of context when the caller names none: enough for a long chat, small enough for any device. */
const DEFAULT_CONTEXT = 32768;

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
  const gpuImplementation = options.gpu ?? (typeof navigator === 'undefined' ? undefined : navigator.gpu);
  if (!gpuImplementation) {
    throw new QwenError(
      'no-webgpu',
      'This browser has no WebGPU. Use a current Chrome, Edge, Safari 26 or Firefox; on an unusual system enable it at chrome://flags (WebGPU), and open the page over https or from localhost.',
    );
  }
  const store = options.store ?? (typeof indexedDB === 'undefined' ? 'none' : 'indexeddb');
  const gpu = await Gpu.open(gpuImplementation, { memoryBytes: options.gpuMemoryBytes, ...gpuOptions });
  let weights: Weights | undefined;
  try {
    const precision = choosePrecision(options.precision, gpu);
    weights = await openWeights(input, { store, signal });
    const opened = weights;
    const meter = new ProgressMeter(weights, onProgress);
    meter.report('header', 0, 0, weights.name);
    // Before the weights: a setting that cannot be should not cost a download first.
    const info = {
      ...describe(readConfig(weights), weights, gpu, precision, options.contextLength),
      vision: options.mmproj !== undefined,
    };
    const textModel = await loadTextModel(gpu, weights, {
      signal,
      onProgress: (loaded, total, file) => meter.report('weights', loaded, total, file),
    });
    meter.report('compile');
    const images = new ImageReader(gpu, {
      hidden: textModel.config.hidden,
      modelName: info.name,
      mmproj: options.mmproj,
      store,
      f16: precision === 'f16',
    });
    const model = new TextEngine(gpu, textModel, weights, info, images);
    await model.warmUp();
    meter.report('ready');
    return { model, metadata: opened.metadata };
  } catch (error) {
    weights?.close();
    gpu.dispose();
    throw error;
  }
}

function choosePrecision(wanted: LoadOptions['precision'] = 'auto', { capabilities }: Gpu): 'f32' | 'f16' {
  if (wanted === 'f16' && !capabilities.f16) {
    throw new QwenError(
      'device-limit',
      "This GPU has no half-precision arithmetic (shader-f16). Load with precision 'auto' or 'f32'.",
      { param: 'precision' },
    );
  }
  return wanted !== 'f32' && capabilities.f16 ? 'f16' : 'f32';
}

function describe(
  config: ModelConfig,
  weights: Weights,
  gpu: Gpu,
  precision: 'f32' | 'f16',
  contextLength = Math.min(DEFAULT_CONTEXT, config.contextLength),
): Omit<ModelInfo, 'vision'> {
  if (!Number.isInteger(contextLength) || contextLength < 1 || contextLength > config.contextLength) {
    throw new QwenError(
      'invalid-request',
      `contextLength is ${contextLength}; ${config.name} takes whole numbers from 1 to ${config.contextLength}.`,
      { param: 'contextLength' },
    );
  }
  const tensors = [...weights.tensors.values()];
  return {
    name: config.name,
    architecture: config.architecture,
    layers: config.layers.length,
    hiddenSize: config.hidden,
    vocabularySize: config.vocabulary,
    contextLength,
    experts: config.ffn.kind === 'moe' ? config.ffn.experts : 0,
    expertsUsed: config.ffn.kind === 'moe' ? config.ffn.topK : 0,
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    fileBytes: weights.byteLength,
    quantization: mostBytes(tensors),
    adapter: gpu.adapterName,
    precision,
  };
}

/** The tensor type that holds most of the file. */
function mostBytes(tensors: readonly TensorInfo[]): string {
  const bytes = new Map<string, number>();
  for (const { type, byteLength } of tensors) bytes.set(type, (bytes.get(type) ?? 0) + byteLength);
  return [...bytes].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'none';
}

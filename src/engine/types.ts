/** What the rooms above the engine (api, ui) and the page see of it. */
import type { KvType } from '../kernels/attention.ts';
import type { YarnConfig } from '../model/config.ts';
import type { TokenMask } from '../text/token-mask.ts';
import type { SamplingSettings } from '../text/types.ts';
import type { ModelFile, ModelInput, StoreKind } from '../weights/types.ts';

/** What arithmetic a model runs in, see `LoadOptions.precision`. */
export type Precision = 'f32' | 'f16' | 'int8';

export type { KvType, ModelFile, ModelInput, SamplingSettings, StoreKind };

export interface LoadOptions {
  /**
   * URL of a `.gguf` (or of its first shard), URLs of all shards, a `File`/`Blob`, or several (shards), or the
   * `FileSystemFileHandle`s of such files. Local files are read where they lie: nothing is copied or stored.
   */
  model: ModelInput;
  /** Vision tower (`mmproj` GGUF). */
  mmproj?: ModelInput;
  /** Tokens of context to allow. Default: the smaller of the model's own and 32768. */
  contextLength?: number;
  /**
   * Most bytes of GPU memory to use. Experts beyond it stay in the store or on the server and come when they are wanted;
   * loading fails with `out-of-memory` where not even the rest fits. Default: no limit, but where the browser tells the
   * device's memory, no more experts than three quarters of it hold.
   */
  gpuMemoryBytes?: number;
  /**
   * Where downloaded bytes are kept. Default `'indexeddb'`, and `'none'` outside a browser. `'opfs'` is the origin's
   * private file system: one tab at a time may use a model there, and only the engine's own worker (not with `gpu`).
   */
  store?: StoreKind;
  /**
   * Whether loading waits for the experts that have a slot, or returns when all else is there: then a chat may begin while
   * they come, and those that it wants come first. Default: it waits for picked files, and does not for URLs.
   */
  waitForExperts?: boolean;
  /** A WebGPU implementation to run on in this thread (Node: Dawn's `create([])`). Default: `navigator.gpu` in a worker. */
  gpu?: GPU;
  /**
   * Tokens that are drafted ahead by the model's MTP block and verified together, 0 to 3; 0 leaves the block out. Answers are
   * the same token for token; it only takes less time and more memory. Default 1 where the file has such a block.
   */
  draftTokens?: number;
  /**
   * Arithmetic: `'f32'` everywhere, or `'f16'` tiles and KV cache; `'auto'` (default) takes f16 where the device has it.
   * `'int8'` reads prompts faster on some devices: there the activations of their products are rounded to 8 bits with a scale
   * for each 32, where weights are small integers; the rest is as in `'auto'`. Answers differ a little (docs/api.md).
   */
  precision?: 'auto' | Precision;
  /**
   * How keys and values are kept. Default: `'f16'`, and `'f32'` where the arithmetic is f32. `'q8_0'` takes half of f16's
   * memory, for long contexts: 8 bits and a scale for each 32 values, at some cost in exactness. Any may be had on any device.
   */
  kvCache?: KvType;
  /** Scales positions, for a context longer than the model's own; default: as the file says. */
  ropeScaling?: RopeScaling;
  /**
   * Whether the shapes of the kernels (workgroups, tiles, the gated delta rule's form) are chosen by measuring for about a
   * second at the first load on a device, and remembered for later ones. Otherwise they come from tables and do not depend on
   * timing. Default: they are measured on GPUs, not on software adapters.
   */
  autotune?: boolean;
  /** Called at most some ten times a second. */
  onProgress?: (progress: LoadProgress) => void;
  /** Aborts loading; what is already stored stays. */
  signal?: AbortSignal;
}

/**
 * YaRN: positions of a context `factor` times the one the model was trained with. It touches short contexts, too: leave it
 * out where the model's own context suffices. Qwen 3.5 takes a factor up to 4, which makes 1,010,000 tokens of 262,144.
 * Source: arXiv 2309.00071.
 */
export interface RopeScaling extends Partial<YarnConfig> {
  type: 'yarn';
  factor: number;
}

export interface LoadProgress {
  /** `header`: reading the directory; `weights`: moving tensors to the GPU; `compile`: building pipelines; `ready`. */
  phase: 'header' | 'weights' | 'compile' | 'ready';
  /** Bytes of weights on the GPU so far, and all that will be. */
  loadedBytes: number;
  totalBytes: number;
  /** Of the loaded bytes, those that came over the network and those that came from the store. */
  networkBytes: number;
  storeBytes: number;
  /** Smoothed rate; 0 until known. */
  bytesPerSecond: number;
  /** Estimate; undefined until known. */
  secondsLeft?: number;
  /** File being read: URL or name. */
  file: string;
}

export interface PlanOptions
  extends Pick<
    LoadOptions,
    | 'mmproj'
    | 'contextLength'
    | 'gpuMemoryBytes'
    | 'gpu'
    | 'precision'
    | 'kvCache'
    | 'ropeScaling'
    | 'draftTokens'
    | 'signal'
  > {
  /** Rates that the estimate of speed goes by, where they are known better. */
  assume?: Partial<SpeedAssumptions>;
}

/** What the estimate of a plan rests on. */
export interface SpeedAssumptions {
  /** Rate at which the GPU reads weights. Default 400e9. */
  gpuBytesPerSecond: number;
  /** Rate at which absent experts are read from the store. Default 2e9. */
  storeBytesPerSecond: number;
  /**
   * Share of the wanted experts that are in slots. Default: the share of experts that have one, as if all were alike to the
   * router; real routers have favourites, so more are found.
   */
  hitRate: number;
}

/** What a model will take of the GPU's memory, known from its header. All figures in bytes unless they say otherwise. */
export interface MemoryPlan {
  /** `gpuMemoryBytes`. */
  budgetBytes?: number;
  /** Of the files. */
  modelBytes: number;
  /** Weights that every token may read: always resident. */
  sharedBytes: number;
  /** What the model remembers of a whole context. */
  contextBytes: number;
  /** Intermediate results, parameters and staging. */
  workBytes: number;
  /** Copies of the state for later turns to start from. */
  snapshotBytes: number;
  /** Slots for experts. */
  expertBytes: number;
  /** Of the files' bytes, those of experts without a slot: read from the store or the server whenever they are wanted. */
  streamedBytes: number;
  /** All of GPU memory. */
  totalBytes: number;
  /** The least budget: as many slots a layer as a token chooses experts, and no snapshots. */
  minimumBytes: number;
  /** With a slot for every expert, without snapshots. */
  fullBytes: number;
  /** Routed experts a layer; 0 when dense. */
  experts: number;
  /** Slots of each layer, and of the MTP block where it drafts; empty when dense. */
  slots: readonly number[];
  /**
   * A step of a greedy answer without drafts is submitted before the token before it is known here. Takes one more recurrent
   * state, which `contextBytes` counts, so only where all experts are resident and there is room.
   */
  stepsAhead: boolean;
  /** An estimate of decoding, with what it assumes. */
  speed: {
    tokensPerSecond: number;
    /** Weights that the GPU reads for a token. */
    gpuBytesPerToken: number;
    /** Absent experts that a token waits for. */
    missBytesPerToken: number;
    assumptions: SpeedAssumptions;
  };
}

/** Shapes of kernels, for inspection: their fields are those of the kernels and may change. */
export interface KernelInfo {
  from: 'table' | 'measured' | 'remembered';
  matvec?: object;
  matmul?: { readonly wide?: object; readonly narrow?: object };
  matmulInt8?: { readonly wide?: object; readonly narrow?: object };
  deltaNet?: object;
}

/** Facts about a loaded model. */
export interface ModelInfo {
  /** `general.name`, else the file's name. */
  name: string;
  architecture: 'qwen35' | 'qwen35moe';
  layers: number;
  hiddenSize: number;
  vocabularySize: number;
  contextLength: number;
  /** Most tokens that `contextLength` can be set to when it is loaded. */
  longestContext?: number;
  /** Routed experts a layer; 0 when dense. */
  experts: number;
  expertsUsed: number;
  parameters: number;
  fileBytes: number;
  /** Most frequent tensor types, by bytes, e.g. `Q4_K`. */
  quantization: string;
  /** `[layers]`: tensor types of a layer's experts, the one with most bytes first. Of a model of experts. */
  expertTypes?: readonly (readonly string[])[];
  vision: boolean;
  /** `<vendor> <architecture> <device>` as far as the browser tells. */
  adapter: string;
  precision: Precision;
  kvCache: KvType;
  /** How the shapes of its kernels were chosen, and which; those that are not named come from the kernels' tables. */
  kernels?: KernelInfo;
  /** Most tokens that are drafted ahead by the model's MTP block; 0 or absent: none. */
  draftTokens?: number;
  /** What it takes of the GPU's memory. */
  plan?: MemoryPlan;
}

/** Where experts came from, since the model was ready. */
export interface ExpertTraffic {
  /** Experts that are in slots now. */
  resident: number;
  /** Bytes of wanted experts that were in slots; of those read from the store or a picked file, and from the server. */
  slotBytes: number;
  storeBytes: number;
  networkBytes: number;
  /** Experts foretold for layers behind one that waited, and of those the ones that were then chosen. */
  predicted: number;
  predictedRight: number;
}

/** Totals since load; rates and times are of the last request. A figure that does not apply is 0. */
export interface EngineStats {
  prefillTokensPerSecond: number;
  decodeTokensPerSecond: number;
  timeToFirstTokenMs: number;
  promptTokens: number;
  /** Prompt tokens whose state was still there and that were not computed again. */
  reusedTokens: number;
  completionTokens: number;
  gpuBytes: number;
  peakGpuBytes: number;
  dispatchesPerToken: number;
  readbackBytesPerToken: number;
  /** Bytes of weights that one decoded token reads. */
  weightBytesPerToken: number;
  /** Of all layers; `info.plan.slots` has each layer's. */
  expertSlots: number;
  /** Experts that a layer of a pass wanted: those that were in a slot, and those it had to wait for. */
  expertHits: number;
  expertMisses: number;
  expertStallMs: number;
  /**
   * `[layers, experts]` (an MTP block that drafts is the last layer): where each expert is: 0 on the server, 1 in the store or a picked file, 2 in a slot, 3 in a slot
   * and chosen by the last pass. Of a model of experts.
   */
  experts?: Uint8Array;
  expertTraffic?: ExpertTraffic;
  bytesFromNetwork: number;
  bytesFromStore: number;
  /** Pictures, and pairs of a video's frames, that the vision tower has read. */
  visionRuns: number;
  /** Those whose embeddings were still there from an earlier request. */
  visionCached: number;
  /** Time of the runs. */
  visionMs: number;
  /** Tokens that were drafted ahead, and those of them that were right and so cost no pass of their own. */
  draftedTokens: number;
  acceptedTokens: number;
}

/** What one answer took of the GPU, dispatch by dispatch. */
export interface Trace {
  /** `dispatch`: each was timed; `pass`: the device has no timestamp queries, so a pass is one entry, timed by the clock. */
  resolution: 'dispatch' | 'pass';
  /** Tokens that `prompt` read. */
  promptTokens: number;
  /** Tokens over which `token` is the mean. */
  tokens: number;
  /** In the order of execution: all passes of the prompt. */
  prompt: readonly TracedDispatch[];
  /** In the order of execution: decoding one token. */
  token: readonly TracedDispatch[];
}

export interface TracedDispatch {
  /** The shader's name, and what it was compiled for, e.g. `matvec` and `q4_k subgroups`. */
  kernel: string;
  variant: string;
  /** The tensor that it multiplies with. */
  weights?: string;
  /** Browsers round it to 0.1 ms. */
  ms: number;
  /** Bytes that it reads and writes, each once, and floating-point operations, as its launcher counts them; of a whole pass, of weights alone. */
  bytes: number;
  flops: number;
}

/** Pixels of a picture, or of two frames of a video that are read as one; `[height, width]` RGBA. */
export interface PicturePixels {
  rgba: Uint8Array<ArrayBuffer>;
  second?: Uint8Array<ArrayBuffer>;
}

/** How far reading pictures has come: bytes of the tower that are loaded, or pictures that it has read. */
export interface VisionProgress {
  phase: 'tower' | 'vision';
  loaded: number;
  total: number;
}

export type OnVision = (progress: VisionProgress) => void;

/** A picture, or a pair of a video's frames, whose tokens are in the prompt. */
export interface PromptImage {
  /** Index in the prompt of its first token; it has `width · height / factor²`. */
  first: number;
  /** Names its content and size: the same key, the same embeddings. */
  key: string;
  /** Pixels; multiples of `VisionLimits.factor`. */
  width: number;
  height: number;
  /** Asked for only when the embeddings are not known. */
  pixels(signal?: AbortSignal): Promise<PicturePixels>;
}

/** What pictures the vision tower takes. */
export interface VisionLimits {
  /** Pixels a side of one token. */
  factor: number;
  minPixels: number;
  maxPixels: number;
}

export interface GenerateOptions {
  /** Pictures and videos' pairs of frames in the prompt, in its order. */
  images?: readonly PromptImage[];
  onVision?: OnVision;
  maxTokens: number;
  sampling: SamplingSettings;
  /** Generation ends after one of these (it is yielded). Empty with `ignore_eos`. */
  stopIds: ReadonlySet<number>;
  /**
   * Lengths of beginnings of the prompt that later ones are likely to share, ascending: the state is kept there. Without
   * any it is kept where the prompt's last token is still to be read.
   */
  checkpoints?: readonly number[];
  /** Holds the answer to a form: only tokens that it lets through are chosen. The caller's to dispose of. */
  mask?: TokenMask;
  /** Number of most likely alternatives to report per token; undefined: no log probabilities. */
  topLogprobs?: number;
}

export interface TokenLogprob {
  id: number;
  logprob: number;
}

export interface GeneratedToken {
  id: number;
  /** Log probability under the model's own distribution (temperature 1, before penalties), when asked for. */
  logprob?: number;
  /** The most likely alternatives, best first, when asked for. */
  top?: TokenLogprob[];
}

/** What the API room needs of the engine: the model as a token machine. One `generate` runs at a time. */
export interface TokenModel {
  readonly info: ModelInfo;
  /**
   * Reads the prompt, then yields tokens until a stop id, `maxTokens`, or the end of the context.
   * @throws QwenError `context-overflow` when the prompt leaves no room for a token; AbortError on abort.
   */
  generate(
    promptIds: readonly number[],
    options: GenerateOptions,
    signal?: AbortSignal,
  ): AsyncGenerator<GeneratedToken>;
  /** Raw logits `[n_vocab]` after the last id, or `[n, n_vocab]` with `all`. */
  logits(
    ids: readonly number[],
    options?: { all?: boolean; images?: readonly PromptImage[]; signal?: AbortSignal },
  ): Promise<Float32Array>;
  /** What a greedy answer of so many tokens takes of the GPU. Forgets the sequence. */
  trace(ids: readonly number[], tokens: number, signal?: AbortSignal): Promise<Trace>;
  /** Reads the header of the vision tower's file if that was not done yet. @throws QwenError `no-vision` without one */
  vision(signal?: AbortSignal): Promise<VisionLimits>;
  stats(): EngineStats;
  dispose(): Promise<void>;
}

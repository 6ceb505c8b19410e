/** What the rooms above `weights/` see of a model's files. */
/** One file of a model: its URL, a picked file, or the handle of one, which can be remembered for the next visit. */
export type ModelFile = string | Blob | FileSystemFileHandle;

/** Where weights come from: a URL (or the URLs of shards; the first is enough), or picked files (all shards). */
export type ModelInput = ModelFile | readonly string[] | readonly Blob[] | readonly FileSystemFileHandle[];

/** Where downloaded bytes are kept. */
export type StoreKind = 'indexeddb' | 'opfs' | 'none';

/** Tensor types of GGUF that this package runs, by ggml's names. Sizes are in `quant-types.ts`. */
export type TensorType =
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q8_0'
  | 'Q2_K'
  | 'Q3_K'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K'
  | 'IQ1_S'
  | 'IQ1_M'
  | 'IQ2_XXS'
  | 'IQ2_XS'
  | 'IQ2_S'
  | 'IQ3_XXS'
  | 'IQ3_S'
  | 'IQ4_NL'
  | 'IQ4_XS'
  | 'MXFP4';

/** 64-bit integers are numbers where they are safe, else bigints. */
export type GgufScalar = number | bigint | boolean | string;
export type GgufArray =
  | readonly string[]
  | readonly boolean[]
  | readonly GgufArray[]
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;
export type GgufValue = GgufScalar | GgufArray;
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/**
 * How soon bytes are needed: `urgent`, a step waits for them; `prefetch`, a step will probably want them; `background`, the
 * download of the model. While an urgent request runs, the others pause.
 */
export type ReadPriority = 'urgent' | 'prefetch' | 'background';

/** A tensor of the model and the way to its bytes. */
export interface TensorInfo {
  readonly name: string;
  readonly type: TensorType;
  /** Row-major, `[out, in]` or `[experts, out, in]`: GGUF's dimensions reversed. */
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** File (URL or name) of the shard that holds it. */
  readonly file: string;
  /**
   * Bytes `[start, start + length)` of the tensor's data, from the store where they are, else over the network into it.
   * @param priority default `background`; bytes that are on their way already come as soon as the most urgent reader asks
   */
  read(start: number, length: number, signal?: AbortSignal, priority?: ReadPriority): Promise<Uint8Array<ArrayBuffer>>;
  /** Whether these bytes are on this device: in the store, or in a picked file. */
  isLocal(start: number, length: number): boolean;
}

/** A GGUF model, all its shards as one. */
export interface Weights {
  /** File name without folder, query and `.gguf`, of the first shard. */
  readonly name: string;
  /** Of the first shard. */
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** All shards together. */
  readonly byteLength: number;
  /** Tensor bytes that came over the network, and out of the store, since opening. */
  readonly networkBytes: number;
  readonly storeBytes: number;
  /** Bytes of the files that are not on this device yet. Stays above 0 without a store, which keeps little. */
  readonly missingBytes: number;
  /**
   * Downloads what is missing into the store, in the background. Without a store there is nothing to do.
   * @throws QwenError as `TensorInfo.read`; the signal's reason on abort
   */
  download(signal?: AbortSignal): Promise<void>;
  close(): void;
}

export interface OpenOptions {
  store: StoreKind;
  signal?: AbortSignal;
}

export type OpenWeights = (input: ModelInput, options: OpenOptions) => Promise<Weights>;

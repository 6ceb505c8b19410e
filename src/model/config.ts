import { QwenError } from '../errors.ts';
import type { AttentionDims } from '../kernels/attention.ts';
import type { DeltaNetDims } from '../kernels/delta-net.ts';
import type { GgufMetadata, GgufValue, Weights } from '../weights/types.ts';

/** Sizes of a Qwen 3.5 text model, read from the file's metadata. Source: qwen35.md §1 and §3. */
export interface ModelConfig {
  readonly architecture: 'qwen35' | 'qwen35moe';
  readonly name: string;
  readonly hidden: number;
  readonly vocabulary: number;
  /** The context the model was made for, in tokens. */
  readonly contextLength: number;
  /** Kind of each layer's mixer, first to last; MTP blocks not included. */
  readonly layers: readonly ('deltaNet' | 'attention')[];
  /** Blocks for multi-token prediction, behind the layers. */
  readonly mtpBlocks: number;
  readonly eps: number;
  readonly attention: AttentionDims;
  readonly deltaNet: DeltaNetDims;
  readonly rope: RopeConfig;
  readonly ffn: DenseConfig | MoeConfig;
}

export interface RopeConfig {
  readonly base: number;
  /** Dims that turn; pairs are half as many. */
  readonly dim: number;
  /** Pairs given to time, height and width (interleaved, see `rope.ts`). */
  readonly sections: readonly number[];
}

export interface DenseConfig {
  readonly kind: 'dense';
  readonly width: number;
}

export interface MoeConfig {
  readonly kind: 'moe';
  readonly experts: number;
  readonly topK: number;
  readonly expertWidth: number;
  readonly sharedWidth: number;
  /** Multiplies the routed experts' normalised weights. */
  readonly scale: number;
}

/** The convolution's length; the kernels keep three earlier inputs. */
const CONV_KERNEL = 4;

/**
 * @throws QwenError `unsupported-gguf` for another architecture or a variant that the kernels do not cover,
 *   `corrupt-gguf` where a key is missing or its value impossible.
 */
export function readConfig({ metadata, name, tensors }: Pick<Weights, 'metadata' | 'name' | 'tensors'>): ModelConfig {
  const read = new MetadataReader(metadata, name);
  const architecture = read.text('general.architecture');
  if (architecture !== 'qwen35' && architecture !== 'qwen35moe') {
    throw new QwenError(
      'unsupported-gguf',
      `${name} is a ${architecture} model. This package runs Qwen 3.5 and its successors of the same architecture (qwen35, qwen35moe).`,
      { file: name },
    );
  }
  read.prefix = architecture;
  const unsupported = (what: string): QwenError =>
    new QwenError('unsupported-gguf', `${name} has ${what}, which this version does not run.`, { file: name });

  const blocks = read.size('block_count');
  const mtp = read.size('nextn_predict_layers', 0);
  const layerCount = blocks - mtp;
  if (layerCount < 1) throw read.corrupt('block_count', `leaves ${layerCount} layers`);
  if (read.size('ssm.conv_kernel', CONV_KERNEL) !== CONV_KERNEL)
    throw unsupported('a convolution of another length than 4');
  const scaling = read.text('rope.scaling.type', 'none');
  if (scaling !== 'none' && scaling !== '') throw unsupported(`RoPE scaling of type ${scaling}`);

  const headDim = read.size('attention.key_length');
  if (read.size('attention.value_length') !== headDim) throw unsupported('values of another length than keys');
  const ropeDim = read.size('rope.dimension_count');
  if (headDim % 4 !== 0 || ropeDim % 8 !== 0 || ropeDim > headDim)
    throw read.corrupt('rope.dimension_count', `is ${ropeDim}`);
  if (!isPowerOfTwo(headDim)) throw unsupported(`heads of ${headDim} dimensions`);
  const heads = read.size('attention.head_count');
  const kvHeads = read.size('attention.head_count_kv');
  if (heads % kvHeads !== 0)
    throw read.corrupt('attention.head_count', `${heads} is no multiple of ${kvHeads} kv heads`);

  const stateDim = read.size('ssm.state_size');
  if (!isPowerOfTwo(stateDim)) throw unsupported(`DeltaNet heads of ${stateDim} dimensions`);
  const keyHeads = read.size('ssm.group_count');
  const valueHeads = read.size('ssm.time_step_rank');
  if (valueHeads % keyHeads !== 0)
    throw read.corrupt('ssm.time_step_rank', `${valueHeads} is no multiple of ${keyHeads}`);
  if (read.size('ssm.inner_size') !== valueHeads * stateDim)
    throw read.corrupt('ssm.inner_size', 'is not heads × state size');

  const vocabulary = tensors.get('token_embd.weight')?.shape[0];
  if (vocabulary === undefined) throw read.corrupt('token_embd.weight', 'is missing');

  return {
    architecture,
    name: read.text('general.name', name),
    hidden: read.size('embedding_length'),
    vocabulary,
    contextLength: read.size('context_length'),
    layers: layerKinds(read, layerCount, blocks),
    mtpBlocks: mtp,
    eps: read.number('attention.layer_norm_rms_epsilon'),
    attention: { heads, kvHeads, headDim, rotaryDim: ropeDim },
    deltaNet: { keyHeads, valueHeads, headDim: stateDim },
    rope: {
      base: read.number('rope.freq_base'),
      dim: ropeDim,
      sections: read.sizes('rope.dimension_sections', [ropeDim / 2, 0, 0]),
    },
    ffn: architecture === 'qwen35' ? { kind: 'dense', width: read.size('feed_forward_length') } : moeConfig(read),
  };
}

function moeConfig(read: MetadataReader): MoeConfig {
  const experts = read.size('expert_count');
  const topK = read.size('expert_used_count');
  if (topK > experts) throw read.corrupt('expert_used_count', `${topK} exceeds ${experts} experts`);
  return {
    kind: 'moe',
    experts,
    topK,
    expertWidth: read.size('expert_feed_forward_length'),
    sharedWidth: read.size('expert_shared_feed_forward_length'),
    scale: read.number('expert_weights_scale', 1) || 1,
  };
}

/** `attention.recurrent_layers` wins over `full_attention_interval`. */
function layerKinds(read: MetadataReader, layers: number, blocks: number): ModelConfig['layers'] {
  const recurrent = read.flags('attention.recurrent_layers');
  if (recurrent) {
    if (recurrent.length < layers || recurrent.length > blocks) {
      throw read.corrupt('attention.recurrent_layers', `has ${recurrent.length} entries for ${layers} layers`);
    }
    return recurrent.slice(0, layers).map((isRecurrent) => (isRecurrent ? 'deltaNet' : 'attention'));
  }
  const interval = read.size('full_attention_interval', 4);
  if (interval < 1) throw read.corrupt('full_attention_interval', `is ${interval}`);
  return Array.from({ length: layers }, (_, i) => ((i + 1) % interval === 0 ? 'attention' : 'deltaNet'));
}

/** A workgroup of a quarter as many lanes reduces a head by halves. */
function isPowerOfTwo(n: number): boolean {
  return n >= 32 && (n & (n - 1)) === 0;
}

/** Largest size a metadata key may claim: far beyond any model, and safe in products with another. */
const LARGEST = 2 ** 24;

export class MetadataReader {
  prefix = '';

  constructor(
    private readonly metadata: GgufMetadata,
    private readonly file: string,
  ) {}

  corrupt(key: string, what: string): QwenError {
    return new QwenError(
      'corrupt-gguf',
      `${this.file}: ${key} ${what}. The file is damaged or badly converted; get it again.`,
      {
        file: this.file,
      },
    );
  }

  text(key: string, fallback?: string): string {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== 'string') throw this.corrupt(key, value === undefined ? 'is missing' : 'is not text');
    return value;
  }

  number(key: string, fallback?: number): number {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw this.corrupt(key, value === undefined ? 'is missing' : 'is not a number');
    }
    return value;
  }

  /** A whole number from 0; some converters write a list with one value per layer, all alike or zero where it does not apply. */
  size(key: string, fallback?: number): number {
    const value = this.#get(key);
    const number = isNumberList(value) ? Math.max(...value) : this.number(key, fallback);
    if (!Number.isInteger(number) || number < 0 || number > LARGEST) throw this.corrupt(key, `is ${number}`);
    return number;
  }

  sizes(key: string, fallback: readonly number[]): readonly number[] {
    const value = this.#get(key) ?? fallback;
    if (!isNumberList(value)) throw this.corrupt(key, 'is not a list of numbers');
    return Array.from(value);
  }

  flags(key: string): boolean[] | undefined {
    const value = this.#get(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) && !isNumberList(value)) throw this.corrupt(key, 'is not a list of flags');
    return Array.from(value as ArrayLike<unknown>, Boolean);
  }

  #get(key: string): GgufValue | undefined {
    return this.metadata.get(key.startsWith('general.') ? key : `${this.prefix}.${key}`);
  }
}

function isNumberList(value: unknown): value is ArrayLike<number> & Iterable<number> {
  return (ArrayBuffer.isView(value) || Array.isArray(value)) && typeof (value as ArrayLike<unknown>)[0] === 'number';
}

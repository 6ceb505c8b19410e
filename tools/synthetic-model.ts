/**
 * GGUF files of the true shape of large models, whose bytes are computed where they are asked for: a header with a
 * vocabulary and tensor table of the published size, then weights that follow from their offset.
 *
 * A tensor is made of segments of `TILE_BLOCKS` blocks. Every segment is the same tile of its type, begun at another
 * block: two copies of memory fill it, and no two experts are alike. Weights are small, finite and of zero mean, with the
 * spread of trained ones, so activations stay in the usual range.
 */

import { quantTypes } from '../src/weights/quant-types.ts';
import type { TensorType } from '../src/weights/types.ts';
import { ByteWriter, type WriterValue } from './gguf-writer.ts';
import { dequantize } from './testing/dequantize.ts';
import { randomNormal, randomSource, toHalf } from './testing/random.ts';

export interface SyntheticShape {
  readonly name: string;
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly keyHeads: number;
  readonly valueHeads: number;
  readonly experts: number;
  readonly topK: number;
  readonly expertWidth: number;
  readonly sharedWidth: number;
  /** Tensor types of the routed experts' gate and up, and of their down projections. */
  readonly gateUp: TensorType;
  readonly down: TensorType;
  readonly vocabulary: number;
  /** Largest shard; with `metadataApart` the first holds no tensors, as many published models do. */
  readonly shardBytes: number;
  readonly metadataApart: boolean;
}

/** Sizes as published; types as in files that are sold as Q4_K_XL: Q4_K for most of the experts, Q8_0 for what is shared. */
export const syntheticShapes = {
  '397b-a17b': {
    name: 'Synthetic 397B-A17B',
    layers: 60,
    hidden: 4096,
    heads: 32,
    kvHeads: 2,
    keyHeads: 16,
    valueHeads: 64,
    experts: 512,
    topK: 10,
    expertWidth: 1024,
    sharedWidth: 1024,
    gateUp: 'Q4_K',
    down: 'Q4_K',
    vocabulary: 248_320,
    shardBytes: 48e9,
    metadataApart: true,
  },
  '35b-a3b': {
    name: 'Synthetic 35B-A3B',
    layers: 40,
    hidden: 2048,
    heads: 16,
    kvHeads: 2,
    keyHeads: 16,
    valueHeads: 32,
    experts: 256,
    topK: 8,
    expertWidth: 512,
    sharedWidth: 512,
    gateUp: 'Q4_K',
    down: 'Q5_K',
    vocabulary: 248_320,
    shardBytes: 48e9,
    metadataApart: false,
  },
} as const satisfies Record<string, SyntheticShape>;

export type SyntheticName = keyof typeof syntheticShapes;

const HEAD_DIM = 256;
const STATE_DIM = 128;
const ALIGNMENT = 32;
/** Of weights; RMS norms before every product keep activations near 1, so rows of 4096 give sums of about 1. */
const SPREAD = 0.02;
const TILE_BLOCKS = 1024;

/** What a tensor's values are like. */
type Role = 'weight' | 'norm' | 'decay';

interface SyntheticTensor {
  readonly name: string;
  readonly type: TensorType;
  /** `[out, in]` or `[experts, out, in]`. */
  readonly shape: readonly number[];
  readonly role: Role;
  readonly byteLength: number;
}

interface PlacedTensor extends SyntheticTensor {
  /** In the file. */
  readonly start: number;
  readonly seed: number;
}

/** One file of a model. Its header is written when it is first asked for. */
export class SyntheticFile {
  private parts: { header: Uint8Array; tensors: readonly PlacedTensor[]; size: number } | undefined;

  constructor(
    /** `NAME-00001-of-00005.gguf`, or without numbers for a model of one file. */
    readonly fileName: string,
    private readonly writeHeader: () => Uint8Array,
    private readonly tensors: readonly (SyntheticTensor & { seed: number })[],
  ) {}

  get size(): number {
    return this.layout().size;
  }

  /** Of all tensors, without the header. */
  get weightBytes(): number {
    return this.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Bytes `[start, end)`. */
  read(start: number, end: number): Uint8Array<ArrayBuffer> {
    const { header, tensors } = this.layout();
    const out = new Uint8Array(end - start); // zeros between tensors
    if (start < header.length) out.set(header.subarray(start, end));
    for (let i = firstTensorAt(tensors, start); i < tensors.length && tensors[i].start < end; i++) {
      const tensor = tensors[i];
      const from = Math.max(start, tensor.start);
      const to = Math.min(end, tensor.start + tensor.byteLength);
      if (to > from) fill(tensor, from - tensor.start, out.subarray(from - start, to - start));
    }
    return out;
  }

  private layout() {
    if (!this.parts) {
      const header = this.writeHeader();
      let at = roundUp(header.length);
      const tensors = this.tensors.map((tensor) => {
        const start = at;
        at = roundUp(at + tensor.byteLength);
        return { ...tensor, start };
      });
      this.parts = { header, tensors, size: at };
    }
    return this.parts;
  }
}

function firstTensorAt(tensors: readonly PlacedTensor[], offset: number): number {
  let low = 0;
  let high = tensors.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (tensors[middle].start + tensors[middle].byteLength <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The files of a model, in order.
 * @param layers fewer than the model has, for runs at full width that end soon
 * @param template chat template to put in
 */
export function syntheticModel(shape: SyntheticShape, { layers = shape.layers, template = '' } = {}): SyntheticFile[] {
  const tensors = tensorsOf(shape, layers).map((tensor, seed) => ({ ...tensor, seed: seed + 1 }));
  const shards: (typeof tensors)[] = shape.metadataApart ? [[], []] : [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    if (bytes > 0 && bytes + tensor.byteLength > shape.shardBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards[shards.length - 1].push(tensor);
    bytes += tensor.byteLength;
  }
  const base = shape.name.replaceAll(' ', '-') + (layers === shape.layers ? '' : `-${layers}-layers`);
  return shards.map((own, i) => {
    const split: Record<string, WriterValue> =
      shards.length === 1
        ? {}
        : {
            'split.no': ['u16', i],
            'split.count': ['u16', shards.length],
            'split.tensors.count': ['i32', tensors.length],
          };
    const number = (n: number) => String(n).padStart(5, '0');
    const name = shards.length === 1 ? `${base}.gguf` : `${base}-${number(i + 1)}-of-${number(shards.length)}.gguf`;
    const writeHeader = () => headerOf({ ...(i === 0 ? metadataOf(shape, layers, template) : {}), ...split }, own);
    return new SyntheticFile(name, writeHeader, own);
  });
}

function tensorsOf(shape: SyntheticShape, layers: number): SyntheticTensor[] {
  const { hidden, heads, kvHeads, keyHeads, valueHeads, experts, expertWidth, sharedWidth, vocabulary } = shape;
  const values = valueHeads * STATE_DIM;
  const channels = 2 * keyHeads * STATE_DIM + values;
  const tensors: SyntheticTensor[] = [];
  const add = (name: string, type: TensorType, size: readonly number[], role: Role = 'weight') => {
    const { blockBytes, blockWeights } = quantTypes[type];
    const byteLength = (size.reduce((a, b) => a * b, 1) / blockWeights) * blockBytes;
    tensors.push({ name, type, shape: size, role, byteLength });
  };
  add('token_embd.weight', 'Q8_0', [vocabulary, hidden]);
  for (let layer = 0; layer < layers; layer++) {
    const own = (suffix: string, type: TensorType, size: readonly number[], role?: Role) =>
      add(`blk.${layer}.${suffix}`, type, size, role);
    own('attn_norm.weight', 'F32', [hidden], 'norm');
    if ((layer + 1) % 4 === 0) {
      own('attn_q.weight', 'Q8_0', [heads * 2 * HEAD_DIM, hidden]);
      own('attn_k.weight', 'Q8_0', [kvHeads * HEAD_DIM, hidden]);
      own('attn_v.weight', 'Q8_0', [kvHeads * HEAD_DIM, hidden]);
      own('attn_output.weight', 'Q8_0', [hidden, heads * HEAD_DIM]);
      own('attn_q_norm.weight', 'F32', [HEAD_DIM], 'norm');
      own('attn_k_norm.weight', 'F32', [HEAD_DIM], 'norm');
    } else {
      own('attn_qkv.weight', 'Q8_0', [channels, hidden]);
      own('attn_gate.weight', 'Q8_0', [values, hidden]);
      own('ssm_conv1d.weight', 'F32', [channels, 4]);
      own('ssm_alpha.weight', 'F32', [valueHeads, hidden]);
      own('ssm_beta.weight', 'F32', [valueHeads, hidden]);
      own('ssm_a', 'F32', [valueHeads], 'decay');
      own('ssm_dt.bias', 'F32', [valueHeads]);
      own('ssm_norm.weight', 'F32', [STATE_DIM], 'norm');
      own('ssm_out.weight', 'Q8_0', [hidden, values]);
    }
    own('post_attention_norm.weight', 'F32', [hidden], 'norm');
    own('ffn_gate_inp.weight', 'F32', [experts, hidden]);
    own('ffn_gate_exps.weight', shape.gateUp, [experts, expertWidth, hidden]);
    own('ffn_up_exps.weight', shape.gateUp, [experts, expertWidth, hidden]);
    own('ffn_down_exps.weight', shape.down, [experts, hidden, expertWidth]);
    own('ffn_gate_inp_shexp.weight', 'F32', [hidden]);
    own('ffn_gate_shexp.weight', 'Q8_0', [sharedWidth, hidden]);
    own('ffn_up_shexp.weight', 'Q8_0', [sharedWidth, hidden]);
    own('ffn_down_shexp.weight', 'Q8_0', [hidden, sharedWidth]);
  }
  add('output_norm.weight', 'F32', [hidden], 'norm');
  add('output.weight', 'Q8_0', [vocabulary, hidden]);
  return tensors;
}

// The header

function metadataOf(shape: SyntheticShape, layers: number, template: string): Record<string, WriterValue> {
  const own: Record<string, WriterValue> = {
    block_count: ['u32', layers],
    context_length: ['u32', 262_144],
    embedding_length: ['u32', shape.hidden],
    'attention.head_count': ['u32', shape.heads],
    'attention.head_count_kv': ['u32', shape.kvHeads],
    'attention.key_length': ['u32', HEAD_DIM],
    'attention.value_length': ['u32', HEAD_DIM],
    'attention.layer_norm_rms_epsilon': ['f32', 1e-6],
    'rope.freq_base': ['f32', 1e7],
    'rope.dimension_count': ['u32', 64],
    'rope.dimension_sections': ['array', 'i32', [11, 11, 10, 0]],
    'ssm.conv_kernel': ['u32', 4],
    'ssm.state_size': ['u32', STATE_DIM],
    'ssm.group_count': ['u32', shape.keyHeads],
    'ssm.time_step_rank': ['u32', shape.valueHeads],
    'ssm.inner_size': ['u32', shape.valueHeads * STATE_DIM],
    full_attention_interval: ['u32', 4],
    expert_count: ['u32', shape.experts],
    expert_used_count: ['u32', shape.topK],
    expert_feed_forward_length: ['u32', shape.expertWidth],
    expert_shared_feed_forward_length: ['u32', shape.sharedWidth],
  };
  const { tokens, merges, types } = vocabularyOf(shape.vocabulary);
  return {
    'general.architecture': ['string', 'qwen35moe'],
    'general.name': ['string', shape.name],
    ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`qwen35moe.${key}`, value])),
    'tokenizer.ggml.model': ['string', 'gpt2'],
    'tokenizer.ggml.pre': ['string', 'qwen35'],
    'tokenizer.ggml.tokens': ['array', 'string', tokens],
    'tokenizer.ggml.merges': ['array', 'string', merges],
    'tokenizer.ggml.token_type': ['array', 'i32', types],
    'tokenizer.ggml.eos_token_id': ['u32', 248_046],
    'tokenizer.chat_template': ['string', template],
  };
}

/** Markers by their ids in the published vocabulary. */
const MARKERS = new Map([
  [248_044, '<|endoftext|>'],
  [248_045, '<|im_start|>'],
  [248_046, '<|im_end|>'],
  [248_053, '<|vision_start|>'],
  [248_054, '<|vision_end|>'],
  [248_056, '<|image_pad|>'],
  [248_057, '<|video_pad|>'],
  [248_058, '<tool_call>'],
  [248_059, '</tool_call>'],
  [248_066, '<tool_response>'],
  [248_067, '</tool_response>'],
  [248_068, '<think>'],
  [248_069, '</think>'],
]);
const FIRST_MARKER = 248_044;

/** A byte-level vocabulary that works: all bytes, all pairs of bytes, and pairs with a third byte; a merge for each. */
function vocabularyOf(count: number) {
  const bytes = byteAlphabet();
  const tokens = [...bytes];
  const merges: string[] = [];
  const words = Math.min(count, FIRST_MARKER);
  for (let i = 0; tokens.length < words && i < 256 * 256; i++) addMerge(bytes[i >> 8], bytes[i & 255]);
  for (let i = 0; tokens.length < words; i++) addMerge(tokens[256 + (i >> 8)], bytes[i & 255]);
  const types: number[] = new Array(tokens.length).fill(1);
  for (let id = tokens.length; id < count; id++) {
    tokens.push(MARKERS.get(id) ?? `<|unused_${id}|>`);
    types.push(MARKERS.has(id) ? 3 : 5);
  }
  return { tokens, merges, types };

  function addMerge(left: string, right: string): void {
    tokens.push(left + right);
    merges.push(`${left} ${right}`);
  }
}

/** GPT-2's printable stand-ins for the 256 bytes. */
function byteAlphabet(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCodePoint(printable ? byte : next++);
  });
}

function headerOf(metadata: Readonly<Record<string, WriterValue>>, tensors: readonly SyntheticTensor[]): Uint8Array {
  const out = new ByteWriter();
  const entries = Object.entries(metadata);
  out.bytes(new TextEncoder().encode('GGUF'));
  out.scalar('u32', 3).scalar('u64', tensors.length).scalar('u64', entries.length);
  for (const [key, value] of entries) out.scalar('string', key).value(value);
  let offset = 0;
  for (const { name, type, shape, byteLength } of tensors) {
    out.scalar('string', name).scalar('u32', shape.length);
    for (const size of [...shape].reverse()) out.scalar('u64', size);
    out.scalar('u32', quantTypes[type].id).scalar('u64', offset);
    offset = roundUp(offset + byteLength);
  }
  return out.finish();
}

// The weights

function fill({ type, role, seed }: PlacedTensor, start: number, out: Uint8Array): void {
  const tile = tileOf(type, role);
  const { blockBytes } = quantTypes[type];
  for (let at = 0; at < out.length; ) {
    const segment = Math.floor((start + at) / tile.length);
    const inSegment = (start + at) % tile.length;
    const from = (inSegment + phase(seed, segment) * blockBytes) % tile.length;
    const take = Math.min(out.length - at, tile.length - inSegment, tile.length - from);
    out.set(tile.subarray(from, from + take), at);
    at += take;
  }
}

/** Block of the tile that a segment begins with. */
function phase(seed: number, segment: number): number {
  let h = Math.imul(seed, 0x9e3779b1) ^ Math.imul(segment + 1, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  return ((h ^ (h >>> 13)) >>> 0) % TILE_BLOCKS;
}

const tiles = new Map<string, Uint8Array<ArrayBuffer>>();

function tileOf(type: TensorType, role: Role): Uint8Array<ArrayBuffer> {
  const key = `${type} ${role}`;
  let tile = tiles.get(key);
  if (!tile) {
    tile = type === 'F32' ? floats(role) : blocks(type);
    tiles.set(key, tile);
  }
  return tile;
}

function floats(role: Role): Uint8Array<ArrayBuffer> {
  const values = randomNormal(1, TILE_BLOCKS, role === 'norm' ? 0.1 : SPREAD, role === 'norm' ? 1 : 0);
  // exp(A_log), negated: from slow to fast decay.
  if (role === 'decay') for (let i = 0; i < values.length; i++) values[i] = -Math.exp(values[i] * 50);
  return new Uint8Array(values.buffer);
}

/** Where a type's scale and offset lie in a block, and what multiple of the scale makes weights average to zero. */
const scales: Partial<Record<TensorType, { d: number; dmin?: number; dminPerD?: number }>> = {
  Q8_0: { d: 0 },
  Q4_K: { d: 0, dmin: 2, dminPerD: 7.5 },
  Q5_K: { d: 0, dmin: 2, dminPerD: 15.5 },
  Q6_K: { d: 208 },
};

/** Random blocks, scaled so that their weights have the usual spread. */
function blocks(type: TensorType): Uint8Array<ArrayBuffer> {
  const place = scales[type];
  if (!place) throw new RangeError(`No synthetic weights of type ${type} yet: say where its scale lies.`);
  const { blockBytes, blockWeights } = quantTypes[type];
  const random = randomSource(blockBytes);
  const bytes = Uint8Array.from({ length: TILE_BLOCKS * blockBytes }, () => Math.floor(random() * 256));
  const view = new DataView(bytes.buffer);
  const setScale = (d: number) => {
    for (let at = 0; at < bytes.length; at += blockBytes) {
      view.setUint16(at + place.d, toHalf(d), true);
      if (place.dmin !== undefined) view.setUint16(at + place.dmin, toHalf(d * (place.dminPerD ?? 1)), true);
    }
  };
  setScale(1);
  const squares = dequantize(type, bytes).reduce((sum, value) => sum + value * value, 0);
  setScale(SPREAD / Math.sqrt(squares / (TILE_BLOCKS * blockWeights)));
  return bytes;
}

function roundUp(value: number): number {
  return Math.ceil(value / ALIGNMENT) * ALIGNMENT;
}

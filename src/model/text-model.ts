import { createPolicy, type ExpertPolicy, ExpertResidency, SlotTable } from '../experts/index.ts';
import type { Gpu, GpuBuffer } from '../gpu/index.ts';
import { StagingRing, type WeightMatrix } from '../kernels/weight-matrix.ts';
import type { Weights } from '../weights/types.ts';
import { type DenseConfig, type ModelConfig, type MoeConfig, readConfig } from './config.ts';
import { type ExpertStack, LayerExperts } from './layer-experts.ts';
import { type JoinedMatrix, type Member, TensorLoader } from './tensor-loader.ts';

/** A loaded text model: the tensors of `qwen35.md` §3, by what they do. */
export interface TextModel {
  readonly config: ModelConfig;
  /** `[vocabulary, hidden]`. */
  readonly embedding: WeightMatrix;
  /** `[vocabulary, hidden]`; the embedding where the file ties them. */
  readonly output: WeightMatrix;
  readonly outputNorm: GpuBuffer;
  readonly layers: readonly Layer[];
  /** What drafts tokens, where it was asked for. */
  readonly mtp: MtpBlock | undefined;
  /** Of a model of experts; the MTP block's come last. */
  readonly experts: ExpertResidency | undefined;
  dispose(): void;
}

export type Layer = (AttentionLayer | DeltaNetLayer) & {
  readonly inputNorm: GpuBuffer;
  readonly ffnNorm: GpuBuffer;
  readonly ffn: DenseFfn | MoeFfn;
};

/** Multi-token prediction: drafts the token after the next. Source: qwen35.md §8. */
export interface MtpBlock {
  readonly layer: Layer;
  /** `[hidden, 2·hidden]`: of the next token's embedding, then of the hidden state. */
  readonly join: WeightMatrix;
  readonly embeddingNorm: GpuBuffer;
  readonly hiddenNorm: GpuBuffer;
  /** The model's own, where the block has none. */
  readonly embedding: WeightMatrix;
  readonly outputNorm: GpuBuffer;
  readonly output: WeightMatrix;
}

export interface AttentionLayer {
  readonly kind: 'attention';
  /** `[heads·2·D, hidden]`: per head query, then gate. */
  readonly q: JoinedMatrix;
  /** `[2·kvHeads·D, hidden]`: keys, then values. */
  readonly kv: JoinedMatrix;
  readonly output: WeightMatrix;
  /** `[2, D]`: of q, then of k. */
  readonly norms: GpuBuffer;
}

export interface DeltaNetLayer {
  readonly kind: 'deltaNet';
  /** All that reads the normed input: qkv, z, alpha, beta. */
  readonly projections: JoinedMatrix;
  /** `[channels, 4]`. */
  readonly conv: GpuBuffer;
  /** `[2, value heads]`: a, then dt. */
  readonly decay: GpuBuffer;
  readonly norm: GpuBuffer;
  readonly output: WeightMatrix;
}

export interface GatedMlp {
  /** `[2·width, hidden]`: gate, then up. */
  readonly gateUp: JoinedMatrix;
  readonly down: WeightMatrix;
}

export interface DenseFfn extends GatedMlp {
  readonly kind: 'dense';
}

export interface MoeFfn {
  readonly kind: 'moe';
  /** `[experts + 1, hidden]`: the router, then the shared expert's gate. */
  readonly router: JoinedMatrix;
  /** Stacks by slot: one of gate rows, then up rows, or, where their types differ, two. */
  readonly experts: { readonly down: WeightMatrix } & (
    | { readonly gate: WeightMatrix; readonly up: WeightMatrix }
    | { readonly gateUp: WeightMatrix }
  );
  readonly shared: GatedMlp;
  readonly slots: SlotTable;
}

/** How many experts there is room for, and who they are. */
export interface ExpertRoom {
  /** Slots of each layer (and of the MTP block, if it is loaded), from its number of chosen experts to all. */
  readonly slots: readonly number[];
  readonly policy: ExpertPolicy;
  /** Loading reads no experts: they come later, those first that are wanted. */
  readonly early?: boolean;
}

export interface LoadTextOptions {
  /** Default: a slot for every expert. */
  room?: ExpertRoom;
  /** Loads the first MTP block, which the file must have. */
  mtp?: boolean;
  /** Called with bytes uploaded so far, all there are to upload, and the file being read. */
  onProgress?: (loaded: number, total: number, file: string) => void;
  signal?: AbortSignal;
}

/** Uploads a model's tensors. @throws QwenError; nothing stays allocated after a failure. */
export async function loadTextModel(gpu: Gpu, weights: Weights, options: LoadTextOptions = {}): Promise<TextModel> {
  const config = readConfig(weights);
  const loader = new TensorLoader(gpu, weights);
  try {
    const model = allocateTextModel(loader, config, options);
    const total = loader.totalBytes;
    let loaded = 0;
    await loader.load((bytes, file) => {
      loaded += bytes;
      options.onProgress?.(loaded, total, file);
    }, options.signal);
    return model;
  } catch (error) {
    loader.disposeOwned();
    throw error;
  }
}

/** A text model whose tensors the loader is still to read. */
export function allocateTextModel(
  loader: TensorLoader,
  config: ModelConfig,
  { room, mtp: wantsMtp = false }: Pick<LoadTextOptions, 'room' | 'mtp'> = {},
): TextModel {
  const { hidden, vocabulary } = config;
  const embedding = loader.matrix('token_embd.weight', [vocabulary, hidden]);
  const output = loader.has('output.weight') ? loader.matrix('output.weight', [vocabulary, hidden]) : embedding;
  const outputNorm = loader.vector(['output_norm.weight'], hidden);
  const count = config.layers.length;
  const experts =
    config.ffn.kind === 'moe'
      ? new ExpertAllocator(loader, hidden, config.ffn, room ?? roomForAll(config.ffn, count + Number(wantsMtp)))
      : undefined;
  const layer = (kind: Layer['kind'], i: number): Layer => {
    const name = (suffix: string) => `blk.${i}.${suffix}`;
    return {
      ...(kind === 'attention' ? attentionLayer(loader, config, name) : deltaNetLayer(loader, config, name)),
      inputNorm: loader.vector([name('attn_norm.weight')], hidden),
      ffnNorm: loader.vector([name('post_attention_norm.weight')], hidden),
      ffn: config.ffn.kind === 'dense' ? denseFfn(loader, config.ffn, hidden, name) : experts!.layer(i, name),
    };
  };
  const layers = config.layers.map(layer);
  const mtp = wantsMtp
    ? mtpBlock(loader, layer('attention', count), count, { embedding, outputNorm, output })
    : undefined;
  const residency = experts?.residency();
  const dispose = () => {
    residency?.close();
    loader.disposeOwned();
  };
  return { config, embedding, output, outputNorm, layers, mtp, experts: residency, dispose };
}

function mtpBlock(
  loader: TensorLoader,
  layer: Layer,
  i: number,
  shared: Pick<MtpBlock, 'embedding' | 'outputNorm' | 'output'>,
): MtpBlock {
  const { rows: vocabulary, columns: hidden } = shared.embedding;
  const name = (suffix: string) => `blk.${i}.nextn.${suffix}.weight`;
  const own = (suffix: string, instead: WeightMatrix) =>
    loader.has(name(suffix)) ? loader.matrix(name(suffix), [vocabulary, hidden]) : instead;
  const norm = name('shared_head_norm');
  return {
    layer,
    join: loader.matrix(name('eh_proj'), [hidden, 2 * hidden]),
    embeddingNorm: loader.vector([name('enorm')], hidden),
    hiddenNorm: loader.vector([name('hnorm')], hidden),
    embedding: own('embed_tokens', shared.embedding),
    outputNorm: loader.has(norm) ? loader.vector([norm], hidden) : shared.outputNorm,
    output: own('shared_head_head', shared.output),
  };
}

type Name = (suffix: string) => string;

function attentionLayer(loader: TensorLoader, { attention, hidden }: ModelConfig, name: Name): AttentionLayer {
  const { heads, kvHeads, headDim } = attention;
  const rows = { q: heads * 2 * headDim, kv: kvHeads * headDim };
  const fused = name('attn_qkv.weight');
  const part = (suffix: string, from: number, count: number): Member =>
    loader.has(fused) ? { name: fused, rows: count, from } : { name: name(suffix), rows: count };
  return {
    kind: 'attention',
    q: loader.joined(hidden, [part('attn_q.weight', 0, rows.q)]),
    kv: loader.joined(hidden, [
      part('attn_k.weight', rows.q, rows.kv),
      part('attn_v.weight', rows.q + rows.kv, rows.kv),
    ]),
    output: loader.matrix(name('attn_output.weight'), [hidden, heads * headDim]),
    norms: loader.vector([name('attn_q_norm.weight'), name('attn_k_norm.weight')], headDim),
  };
}

function deltaNetLayer(loader: TensorLoader, { deltaNet, hidden }: ModelConfig, name: Name): DeltaNetLayer {
  const { keyHeads, valueHeads, headDim } = deltaNet;
  const values = valueHeads * headDim;
  const channels = 2 * keyHeads * headDim + values;
  return {
    kind: 'deltaNet',
    projections: loader.joined(hidden, [
      { name: name('attn_qkv.weight'), rows: channels },
      { name: name('attn_gate.weight'), rows: values },
      { name: name('ssm_alpha.weight'), rows: valueHeads },
      { name: name('ssm_beta.weight'), rows: valueHeads },
    ]),
    conv: loader.vector([name('ssm_conv1d.weight')], channels * 4),
    decay: loader.vector([name('ssm_a'), name('ssm_dt.bias')], valueHeads),
    norm: loader.vector([name('ssm_norm.weight')], headDim),
    output: loader.matrix(name('ssm_out.weight'), [hidden, values]),
  };
}

function gatedMlp(loader: TensorLoader, name: Name, suffix: string, width: number, hidden: number): GatedMlp {
  return {
    gateUp: loader.joined(hidden, [
      { name: name(`ffn_gate${suffix}.weight`), rows: width },
      { name: name(`ffn_up${suffix}.weight`), rows: width },
    ]),
    down: loader.matrix(name(`ffn_down${suffix}.weight`), [hidden, width]),
  };
}

function denseFfn(loader: TensorLoader, { width }: DenseConfig, hidden: number, name: Name): DenseFfn {
  return { kind: 'dense', ...gatedMlp(loader, name, '', width, hidden) };
}

/** Buffers through which absent experts come: two experts at a time, of three matrices at most. */
const RING_BUFFERS = 6;

function roomForAll({ experts }: MoeConfig, layers: number): ExpertRoom {
  return { slots: new Array<number>(layers).fill(experts), policy: createPolicy('forecast', { layers, experts }) };
}

/** Makes the feed-forward parts of a model of experts. */
class ExpertAllocator {
  readonly #loader: TensorLoader;
  readonly #hidden: number;
  readonly #config: MoeConfig;
  readonly #room: ExpertRoom;
  readonly #layers: { table: SlotTable; stacks: readonly ExpertStack[] }[] = [];

  constructor(loader: TensorLoader, hidden: number, config: MoeConfig, room: ExpertRoom) {
    this.#loader = loader;
    this.#hidden = hidden;
    this.#config = config;
    this.#room = room;
  }

  layer(i: number, name: Name): MoeFfn {
    const loader = this.#loader;
    const hidden = this.#hidden;
    const { experts, expertWidth, sharedWidth } = this.#config;
    const slots = this.#room.slots[i];
    const initial = this.#initial(i);
    const stack = (columns: number, ...members: Member[]) =>
      loader.stack(members, { experts, columns, slots, chosen: initial });
    const down = stack(expertWidth, { name: name('ffn_down_exps.weight'), rows: hidden });
    const inner = this.#inner(name, (...members) => stack(hidden, ...members));
    const table = loader.own(new SlotTable(loader.gpu, name('slots'), experts, slots));
    table.place(initial.map((expert) => [expert, table.take()!]));
    for (const expert of initial) this.#room.policy.admitted(i, expert);
    this.#layers.push({ table, stacks: [...Object.values(inner), down] });
    return {
      kind: 'moe',
      router: loader.joined(hidden, [
        { name: name('ffn_gate_inp.weight'), rows: experts },
        { name: name('ffn_gate_inp_shexp.weight'), rows: 1 },
      ]),
      experts: {
        down: down.matrix,
        ...(inner.gateUp ? { gateUp: inner.gateUp.matrix } : { gate: inner.gate.matrix, up: inner.up.matrix }),
      },
      shared: gatedMlp(loader, name, '_shexp', sharedWidth, hidden),
      slots: table,
    };
  }

  /** What gates and lifts: one stack where the file or the types allow it. */
  #inner(
    name: Name,
    stack: (...members: Member[]) => ExpertStack,
  ): { gateUp: ExpertStack } | { gateUp?: undefined; gate: ExpertStack; up: ExpertStack } {
    const loader = this.#loader;
    const { expertWidth } = this.#config;
    const fused = { name: name('ffn_gate_up_exps.weight'), rows: 2 * expertWidth };
    if (loader.has(fused.name)) return { gateUp: stack(fused) };
    const gate = { name: name('ffn_gate_exps.weight'), rows: expertWidth };
    const up = { name: name('ffn_up_exps.weight'), rows: expertWidth };
    if (loader.canStack(gate.name, up.name, expertWidth, this.#hidden)) return { gateUp: stack(gate, up) };
    return { gate: stack(gate), up: stack(up) };
  }

  /** To be called when all layers are made. */
  residency(): ExpertResidency {
    const parts = this.#layers
      .flatMap(({ stacks }) => stacks)
      .flatMap(({ matrix, tensors }) => tensors.map(({ bytes }) => (matrix.isRepacked ? bytes : 0)));
    const absent = this.#layers.some(({ table }) => table.resident < table.experts);
    const largest = Math.max(...parts);
    const ring = this.#loader.own(new StagingRing(this.#loader.gpu, absent ? RING_BUFFERS : 0, largest));
    const shelves = this.#layers.map(({ table, stacks }) => new LayerExperts(table, stacks, ring));
    return new ExpertResidency(shelves, this.#room.policy);
  }

  /** By slot. */
  #initial(layer: number): number[] {
    const { experts } = this.#config;
    const slots = this.#room.slots[layer];
    if (this.#room.early) return [];
    if (slots === experts) return Array.from({ length: experts }, (_, expert) => expert);
    return this.#room.policy.initial(layer, slots).sort((a, b) => a - b);
  }
}

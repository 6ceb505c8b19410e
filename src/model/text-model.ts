import { SlotTable } from '../experts/index.ts';
import type { Gpu, GpuBuffer } from '../gpu/index.ts';
import type { WeightMatrix } from '../kernels/weight-matrix.ts';
import type { Weights } from '../weights/types.ts';
import { type DenseConfig, type ModelConfig, type MoeConfig, readConfig } from './config.ts';
import { TensorLoader } from './tensor-loader.ts';

/** A loaded text model: the tensors of `qwen35.md` §3, by what they do. */
export interface TextModel {
  readonly config: ModelConfig;
  /** `[vocabulary, hidden]`. */
  readonly embedding: WeightMatrix;
  /** `[vocabulary, hidden]`; the embedding where the file ties them. */
  readonly output: WeightMatrix;
  readonly outputNorm: GpuBuffer;
  readonly layers: readonly Layer[];
  dispose(): void;
}

export type Layer = (AttentionLayer | DeltaNetLayer) & {
  readonly inputNorm: GpuBuffer;
  readonly ffnNorm: GpuBuffer;
  readonly ffn: DenseFfn | MoeFfn;
};

export interface AttentionLayer {
  readonly kind: 'attention';
  /** `[heads·2·D, hidden]`: per head query, then gate. */
  readonly q: WeightMatrix;
  readonly k: WeightMatrix;
  readonly v: WeightMatrix;
  readonly output: WeightMatrix;
  /** `[2, D]`: of q, then of k. */
  readonly norms: GpuBuffer;
}

export interface DeltaNetLayer {
  readonly kind: 'deltaNet';
  readonly qkv: WeightMatrix;
  /** z. */
  readonly gate: WeightMatrix;
  readonly alpha: WeightMatrix;
  readonly beta: WeightMatrix;
  /** `[channels, 4]`. */
  readonly conv: GpuBuffer;
  /** `[2, value heads]`: a, then dt. */
  readonly decay: GpuBuffer;
  readonly norm: GpuBuffer;
  readonly output: WeightMatrix;
}

export interface GatedMlp {
  readonly gate: WeightMatrix;
  readonly up: WeightMatrix;
  readonly down: WeightMatrix;
}

export interface DenseFfn extends GatedMlp {
  readonly kind: 'dense';
}

export interface MoeFfn {
  readonly kind: 'moe';
  readonly router: WeightMatrix;
  /** Stacks by slot: gate and up apart, or one stack of gate rows, then up rows. */
  readonly experts: { readonly down: WeightMatrix } & (
    | { readonly gate: WeightMatrix; readonly up: WeightMatrix }
    | { readonly gateUp: WeightMatrix }
  );
  readonly shared: GatedMlp;
  /** `[1, hidden]`: the shared expert's gate. */
  readonly sharedGate: WeightMatrix;
  readonly slots: SlotTable;
}

export interface LoadTextOptions {
  /** Called with bytes uploaded so far, all there are to upload, and the file being read. */
  onProgress?: (loaded: number, total: number, file: string) => void;
  signal?: AbortSignal;
}

/** Uploads a model's tensors. @throws QwenError; nothing stays allocated after a failure. */
export async function loadTextModel(gpu: Gpu, weights: Weights, options: LoadTextOptions = {}): Promise<TextModel> {
  const config = readConfig(weights);
  const loader = new TensorLoader(gpu, weights);
  try {
    const { hidden, vocabulary } = config;
    const embedding = loader.matrix('token_embd.weight', [vocabulary, hidden]);
    const output = loader.has('output.weight') ? loader.matrix('output.weight', [vocabulary, hidden]) : embedding;
    const outputNorm = loader.vector(['output_norm.weight'], hidden);
    const layers = config.layers.map((kind, i): Layer => {
      const name = (suffix: string) => `blk.${i}.${suffix}`;
      return {
        ...(kind === 'attention' ? attentionLayer(loader, config, name) : deltaNetLayer(loader, config, name)),
        inputNorm: loader.vector([name('attn_norm.weight')], hidden),
        ffnNorm: loader.vector([name('post_attention_norm.weight')], hidden),
        ffn:
          config.ffn.kind === 'dense'
            ? denseFfn(loader, config.ffn, hidden, name)
            : moeFfn(loader, config.ffn, hidden, name),
      };
    });
    const total = loader.totalBytes;
    let loaded = 0;
    await loader.load((bytes, file) => {
      loaded += bytes;
      options.onProgress?.(loaded, total, file);
    }, options.signal);
    return { config, embedding, output, outputNorm, layers, dispose: () => loader.disposeOwned() };
  } catch (error) {
    loader.disposeOwned();
    throw error;
  }
}

type Name = (suffix: string) => string;

function attentionLayer(loader: TensorLoader, { attention, hidden }: ModelConfig, name: Name): AttentionLayer {
  const { heads, kvHeads, headDim } = attention;
  const rows = { q: heads * 2 * headDim, kv: kvHeads * headDim };
  const fused = name('attn_qkv.weight');
  const part = (suffix: string, first: number, count: number) =>
    loader.has(fused)
      ? loader.matrix(fused, [count, hidden], { first, count })
      : loader.matrix(name(suffix), [count, hidden]);
  return {
    kind: 'attention',
    q: part('attn_q.weight', 0, rows.q),
    k: part('attn_k.weight', rows.q, rows.kv),
    v: part('attn_v.weight', rows.q + rows.kv, rows.kv),
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
    qkv: loader.matrix(name('attn_qkv.weight'), [channels, hidden]),
    gate: loader.matrix(name('attn_gate.weight'), [values, hidden]),
    alpha: loader.matrix(name('ssm_alpha.weight'), [valueHeads, hidden]),
    beta: loader.matrix(name('ssm_beta.weight'), [valueHeads, hidden]),
    conv: loader.vector([name('ssm_conv1d.weight')], channels * 4),
    decay: loader.vector([name('ssm_a'), name('ssm_dt.bias')], valueHeads),
    norm: loader.vector([name('ssm_norm.weight')], headDim),
    output: loader.matrix(name('ssm_out.weight'), [hidden, values]),
  };
}

function gatedMlp(loader: TensorLoader, name: Name, suffix: string, width: number, hidden: number): GatedMlp {
  return {
    gate: loader.matrix(name(`ffn_gate${suffix}.weight`), [width, hidden]),
    up: loader.matrix(name(`ffn_up${suffix}.weight`), [width, hidden]),
    down: loader.matrix(name(`ffn_down${suffix}.weight`), [hidden, width]),
  };
}

function denseFfn(loader: TensorLoader, { width }: DenseConfig, hidden: number, name: Name): DenseFfn {
  return { kind: 'dense', ...gatedMlp(loader, name, '', width, hidden) };
}

function moeFfn(loader: TensorLoader, config: MoeConfig, hidden: number, name: Name): MoeFfn {
  const { experts, expertWidth, sharedWidth } = config;
  const fused = name('ffn_gate_up_exps.weight');
  const slots = loader.own(new SlotTable(loader.gpu, name('slots'), experts, experts));
  slots.place(Array.from({ length: experts }, (_, expert) => [expert, expert] as const));
  return {
    kind: 'moe',
    router: loader.matrix(name('ffn_gate_inp.weight'), [experts, hidden]),
    experts: {
      ...(loader.has(fused)
        ? { gateUp: loader.matrix(fused, [experts, 2 * expertWidth, hidden]) }
        : {
            gate: loader.matrix(name('ffn_gate_exps.weight'), [experts, expertWidth, hidden]),
            up: loader.matrix(name('ffn_up_exps.weight'), [experts, expertWidth, hidden]),
          }),
      down: loader.matrix(name('ffn_down_exps.weight'), [experts, hidden, expertWidth]),
    },
    shared: gatedMlp(loader, name, '_shexp', sharedWidth, hidden),
    sharedGate: loader.matrix(name('ffn_gate_inp_shexp.weight'), [1, hidden]),
    slots,
  };
}

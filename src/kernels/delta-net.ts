import type { Bindable, Gpu, Recorder } from '../gpu/index.ts';

/** Sizes of a Gated DeltaNet layer. */
export interface DeltaNetDims {
  keyHeads: number;
  valueHeads: number;
  /** D: of keys and of values. */
  headDim: number;
}

/** Channels of the convolution: q heads, k heads, v heads. */
export function deltaChannels({ keyHeads, valueHeads, headDim }: DeltaNetDims): number {
  return (2 * keyHeads + valueHeads) * headDim;
}

/** What the recurrence keeps of the past, per layer: one state or several, of which the step buffer names the one to read. */
export interface DeltaState {
  /** The convolution's last three inputs, `[states, 3, channels]` f32. */
  conv: Bindable;
  /** S transposed, `[states, valueHeads, D values, D keys]` f32. */
  recurrent: Bindable;
}

export interface DeltaConvTensors {
  /** `[T, channels]` f32. */
  qkv: Bindable;
  /** `[channels, 4]` f32 taps. */
  weight: Bindable;
  /** `[T, 2, valueHeads]` f32: alpha, then beta projections. */
  alphaBeta: Bindable;
  /** `[2, valueHeads]` f32: a (negative), then dt. */
  decay: Bindable;
  /** Out: `[T, channels]` f32. */
  y: Bindable;
  /** Out: `[T, valueHeads, 2]` f32: decay α, write strength β. */
  gates: Bindable;
}

/** Convolution, SiLU, L2 norms and gates: all of the layer between its projections and the recurrence. */
export function deltaConv(
  rec: Recorder,
  { keyHeads, valueHeads, headDim }: DeltaNetDims,
  { qkv, weight, alphaBeta, decay, y, gates }: DeltaConvTensors,
  state: DeltaState,
  tokens: number,
  eps: number,
): void {
  rec.dispatch(
    { name: 'delta_conv', constants: { LANES: headDim / 4 } },
    { qkv, conv_state: state.conv, weight, alpha_beta: alphaBeta, decay, y, gates },
    { key_heads: keyHeads, value_heads: valueHeads, eps },
    [2 * keyHeads + valueHeads, tokens],
  );
}

export interface DeltaScanShape {
  lanes: number;
  /** Lanes that share one column of the state; more than 1 needs subgroups at least that wide. */
  split: number;
}

export function deltaScanShape({ capabilities }: Gpu): DeltaScanShape {
  return capabilities.subgroupMinSize >= 16 ? { lanes: 64, split: 4 } : { lanes: 32, split: 1 };
}

export interface DeltaNetOptions {
  /** States that are kept, after each of the last tokens: the last one's in place 0, the one's before it in place 1, … */
  kept?: number;
  shape?: DeltaScanShape;
}

/**
 * The gated delta rule over the pass's tokens; moves both states on.
 * @param qkv `[T, channels]` f32 from `deltaConv` @param convInput what `deltaConv` read @param o `[T, valueHeads, D]` f32
 */
export function deltaNet(
  rec: Recorder,
  { keyHeads, valueHeads, headDim }: DeltaNetDims,
  { qkv, gates, convInput, o }: { qkv: Bindable; gates: Bindable; convInput: Bindable; o: Bindable },
  state: DeltaState,
  tokens: number,
  { kept = 1, shape = deltaScanShape(rec.gpu) }: DeltaNetOptions = {},
): void {
  const { lanes, split } = shape;
  rec.dispatch(
    {
      name: 'delta_net',
      conditions: { subgroups: split > 1 },
      constants: { DIM: headDim, LANES: lanes, SPLIT: split },
    },
    { qkv, gates, state: state.recurrent, o, conv_input: convInput, conv_state: state.conv },
    { tokens, key_heads: keyHeads, value_heads: valueHeads, kept },
    [(headDim * split) / lanes, valueHeads],
  );
}

/** `y = rms(o, weight) · silu(z)` per head. @param o, z, y `[rows, D]` f32, a row per token and head */
export function gatedNorm(
  rec: Recorder,
  { o, z, weight, y }: { o: Bindable; z: Bindable; weight: Bindable; y: Bindable },
  rows: number,
  headDim: number,
  eps: number,
): void {
  rec.dispatch({ name: 'gated_norm', constants: { LANES: headDim / 4 } }, { o, z, weight, y }, { eps }, [rows]);
}

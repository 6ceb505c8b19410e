import type { Bindable, Gpu, Recorder } from '../gpu/index.ts';
import { choicesOf } from './choices.ts';

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

/** Floats of a token's row of projections: qkv, z, alpha, beta, and what makes it a whole number of vec4s. */
export function projectionStride(dims: DeltaNetDims): number {
  const floats = deltaChannels(dims) + dims.valueHeads * (dims.headDim + 2);
  return Math.ceil(floats / 4) * 4;
}

/** What the recurrence keeps of the past, per layer: one state or several, of which the step buffer names the one to read. */
export interface DeltaState {
  /** The convolution's last three inputs, `[states, 3, channels]` f32. */
  conv: Bindable;
  /** S transposed, `[states, valueHeads, D values, D keys]` f32. */
  recurrent: Bindable;
}

export interface DeltaConvTensors {
  /** `[T, projectionStride]` f32. */
  projected: Bindable;
  /** `[channels, 4]` f32 taps. */
  weight: Bindable;
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
  dims: DeltaNetDims,
  { projected, weight, decay, y, gates }: DeltaConvTensors,
  state: DeltaState,
  tokens: number,
  eps: number,
): void {
  const { keyHeads, valueHeads, headDim } = dims;
  const channels = deltaChannels(dims);
  rec.dispatch(
    { name: 'delta_conv', constants: { LANES: headDim / 4 } },
    { qkv: projected, conv_state: state.conv, weight, alpha_beta: projected, decay, y, gates },
    { key_heads: keyHeads, value_heads: valueHeads, stride: projectionStride(dims), eps },
    [2 * keyHeads + valueHeads, tokens],
    {
      bytes: 4 * (2 * tokens * (channels + 2 * valueHeads) + 7 * channels + 2 * valueHeads),
      flops: tokens * (16 * channels + 12 * valueHeads),
    },
  );
}

/** How the rule is computed: token by token with the state in registers, or in chunks of tokens. */
export type DeltaNetShape =
  | {
      readonly kind: 'scan';
      readonly lanes: number;
      /** Lanes that share one column of the state; more than 1 needs subgroups at least that wide. */
      readonly split: number;
      /** The workgroup is one subgroup and loads keys and queries together. */
      readonly shared?: boolean;
    }
  | { readonly kind: 'chunks' };

/** Columns of the state a workgroup has, and tokens a chunk: `delta_chunks.wgsl`. */
const CHUNK_COLUMNS = 32;
const CHUNK_TOKENS = 32;

/** Workgroup memory of `delta_chunks.wgsl`. */
function chunkBytes(headDim: number): number {
  const state = CHUNK_COLUMNS * (headDim / 4 + 1) * 16;
  return state + 4 * (2 * CHUNK_TOKENS ** 2 + CHUNK_TOKENS * CHUNK_COLUMNS + 4 * CHUNK_TOKENS);
}

/** Shapes that this device can run, the one that is taken unmeasured first. */
export function deltaNetShapes({ capabilities, limits }: Gpu, { headDim }: DeltaNetDims): readonly DeltaNetShape[] {
  const { subgroups, subgroupMinSize: width, subgroupMaxSize } = capabilities;
  const shapes: DeltaNetShape[] = [];
  // SwiftShader, whose subgroups are 4 wide, shuffles slowly.
  if (subgroups && width === 8 && subgroupMaxSize === 8) {
    shapes.push({ kind: 'scan', lanes: width, split: 1, shared: true });
  }
  if (subgroups && width >= 16) {
    shapes.push({ kind: 'scan', lanes: 64, split: 4 }, { kind: 'scan', lanes: 64, split: 8 });
  }
  shapes.push({ kind: 'scan', lanes: 32, split: 1 });
  if (headDim % CHUNK_COLUMNS === 0 && chunkBytes(headDim) <= limits.maxComputeWorkgroupStorageSize) {
    shapes.push({ kind: 'chunks' });
  }
  return shapes;
}

/** A pass shorter than this is always scanned: its chunk would be mostly empty. */
const CHUNKED_TOKENS = 16;

/** The shape for a pass, as chosen for the device. Only the scan can keep more than one state. */
export function deltaNetShape(gpu: Gpu, dims: DeltaNetDims, tokens: number, kept: number): DeltaNetShape {
  const chosen = choicesOf(gpu).deltaNet ?? deltaNetShapes(gpu, dims)[0];
  if (chosen.kind === 'scan' || (tokens >= CHUNKED_TOKENS && kept === 1)) return chosen;
  return deltaNetShapes(gpu, dims)[0];
}

export interface DeltaNetOptions {
  /** States that are kept, after each of the last tokens: the last one's in place 0, the one's before it in place 1, … */
  kept?: number;
  shape?: DeltaNetShape;
}

/**
 * The gated delta rule over the pass's tokens; moves both states on.
 * @param qkv `[T, channels]` f32 from `deltaConv` @param projected what `deltaConv` read @param o `[T, valueHeads, D]` f32
 */
export function deltaNet(
  rec: Recorder,
  dims: DeltaNetDims,
  { qkv, gates, projected, o }: { qkv: Bindable; gates: Bindable; projected: Bindable; o: Bindable },
  state: DeltaState,
  tokens: number,
  { kept = 1, shape = deltaNetShape(rec.gpu, dims, tokens, kept) }: DeltaNetOptions = {},
): void {
  const { keyHeads, valueHeads, headDim } = dims;
  const bindings = { qkv, gates, state: state.recurrent, o, conv_input: projected, conv_state: state.conv };
  const stride = projectionStride(dims);
  const params = { tokens, key_heads: keyHeads, value_heads: valueHeads, stride, kept };
  const channels = deltaChannels(dims);
  const cost = {
    // The state is read once and written once for each that is kept.
    bytes:
      4 * (1 + kept) * (valueHeads * headDim ** 2 + 3 * channels) +
      4 * tokens * (channels + valueHeads * (headDim + 2)),
    // Per token: decay, recall, correction and read-out of the state, as the scan does them.
    flops: 7 * tokens * valueHeads * headDim ** 2,
  };
  if (shape.kind === 'chunks') {
    const spec = { name: 'delta_chunks', constants: { DIM: headDim } };
    rec.dispatch(spec, bindings, params, [headDim / CHUNK_COLUMNS, valueHeads], cost);
    return;
  }
  const { lanes, split, shared = false } = shape;
  const conditions = { subgroups: split > 1 || shared, shared };
  const constants = { DIM: headDim, LANES: lanes, SPLIT: split };
  const grid = [(headDim * split) / lanes, valueHeads] as const;
  rec.dispatch({ name: 'delta_net', conditions, constants }, bindings, params, grid, cost);
}

/** `y = rms(o, weight) · silu(z)` per head. @param projected for z, as in `deltaConv` @param o, y `[T, valueHeads, D]` f32 */
export function gatedNorm(
  rec: Recorder,
  dims: DeltaNetDims,
  { o, projected, weight, y }: { o: Bindable; projected: Bindable; weight: Bindable; y: Bindable },
  tokens: number,
  eps: number,
): void {
  rec.dispatch(
    { name: 'gated_norm', constants: { LANES: dims.headDim / 4 } },
    { o, z: projected, weight, y },
    { stride: projectionStride(dims) / 4, first: deltaChannels(dims) / 4, eps },
    [dims.valueHeads, tokens],
    {
      bytes: 4 * dims.headDim * (3 * tokens * dims.valueHeads + 1),
      flops: 9 * tokens * dims.valueHeads * dims.headDim,
    },
  );
}

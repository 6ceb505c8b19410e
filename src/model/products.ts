/** Products of the decoder that read the normed residual stream, fused as far as the tokens, the types and the device allow. */
import type { GpuBuffer } from '../gpu/index.ts';
import { expertProduct, MATVEC_TOKENS, type MatmulOptions, product, type RoutedTiles } from '../kernels/matmul.ts';
import { canFuse, expertMatvec, type InputNorm, matvec, normsInProducts, type Routed } from '../kernels/matvec.ts';
import type { ProductOptions } from '../kernels/product-params.ts';
import { quantizeActivations, quantizedBytes } from '../kernels/quantize-activations.ts';
import { rmsNorm } from '../kernels/rms-norm.ts';
import { swiglu } from '../kernels/swiglu.ts';
import type { WeightMatrix } from '../kernels/weight-matrix.ts';
import type { Pass } from './pass.ts';
import type { JoinedMatrix } from './tensor-loader.ts';
import type { MoeFfn } from './text-model.ts';

/** `rms(x) · weight`, `[T, hidden]`: made where it is first asked for, since products of few tokens norm x themselves. */
export interface Normed {
  readonly x: GpuBuffer;
  readonly norm: InputNorm;
  plain(): GpuBuffer;
  readonly quantized: Quantized;
}

/** What products of small integers read instead of x; undefined where there are none. */
type Quantized = MatmulOptions['quantized'];

/** @param name of the scratch that holds it, if it comes to that */
export function normed(pass: Pass, x: GpuBuffer, weight: GpuBuffer, name = 'normed'): Normed {
  const { rec, config, scratch, tokens } = pass;
  const { hidden, eps } = config;
  let made: GpuBuffer | undefined;
  const plain = () => {
    if (made) return made;
    made = scratch.rows(name, hidden);
    rmsNorm(rec, x, weight, made, { rows: tokens, columns: hidden, eps });
    return made;
  };
  return { x, norm: { weight, eps }, plain, quantized: quantized(pass, plain, name, hidden) };
}

/**
 * Quantises x where that is first asked for: products of the same x share it.
 * @param name of x, so that what is quantised meanwhile leaves it alone @param floats of a token
 */
function quantized({ rec, scratch, tokens, int8 }: Pass, x: () => GpuBuffer, name: string, floats: number): Quantized {
  if (!int8) return undefined;
  let made: GpuBuffer | undefined;
  return () => {
    if (made) return made;
    made = scratch.bytes(`${name}, quantised`, quantizedBytes(scratch.maxTokens * floats));
    quantizeActivations(rec, x(), made, tokens * floats);
    return made;
  };
}

/** What products of a pass's tokens with an x of their own may do. Arguments as `quantized`. */
export function arithmetic(
  pass: Pass,
  x: GpuBuffer,
  name: string,
  floats: number,
): Pick<MatmulOptions, 'f16' | 'quantized'> {
  return { f16: pass.f16, quantized: quantized(pass, () => x, name, floats) };
}

/** `y = W · h`, a dispatch for each of W's groups. @param y `[T, stride]` f32 */
export function projections(
  pass: Pass,
  w: JoinedMatrix,
  h: Normed,
  y: GpuBuffer,
  { stride = w.rows }: Pick<ProductOptions, 'stride'> = {},
): void {
  for (const { matrix, first } of w.groups) projection(pass, matrix, h, y, { stride, offset: first });
}

function projection(pass: Pass, w: WeightMatrix, h: Normed, y: GpuBuffer, options: ProductOptions): void {
  const { rec, tokens, f16 } = pass;
  if (norms(pass, w, h)) matvec(rec, w, h.x, y, tokens, { ...options, norm: h.norm });
  else product(rec, w, h.plain(), y, tokens, { ...options, f16, quantized: h.quantized });
}

/** Whether a product norms x on the way. */
function norms({ rec, tokens }: Pass, w: WeightMatrix, { norm }: Normed, experts = false): boolean {
  return tokens <= MATVEC_TOKENS && normsInProducts(rec.gpu) && canFuse(rec.gpu, w, { norm }, experts);
}

/** What a product of few tokens reads. */
function input(pass: Pass, w: WeightMatrix, h: Normed, experts = false): { x: GpuBuffer; norm?: InputNorm } {
  return norms(pass, w, h, experts) ? { x: h.x, norm: h.norm } : { x: h.plain() };
}

/** `silu(gate · h) · (up · h)`. @returns `[T, width]` f32 */
export function gatedUnit(pass: Pass, gateUp: JoinedMatrix, h: Normed): GpuBuffer {
  const { rec, scratch, tokens, f16 } = pass;
  const width = gateUp.rows / 2;
  const inner = scratch.rows('mlp inner', width); // [T, width]
  const [{ matrix }, up] = gateUp.groups;
  if (up) {
    projection(pass, matrix, h, inner, {});
    projection(pass, up.matrix, h, inner, { gated: true });
  } else if (tokens <= MATVEC_TOKENS && canFuse(rec.gpu, matrix, { swiglu: true })) {
    const { x, norm } = input(pass, matrix, h);
    matvec(rec, matrix, x, inner, tokens, { swiglu: true, norm });
  } else {
    const both = scratch.rows('mlp gate and up', 2 * width); // [T, 2, width]
    product(rec, matrix, h.plain(), both, tokens, { f16, quantized: h.quantized });
    swiglu(rec, both, inner, tokens, width);
  }
  return inner;
}

/** The same of each routed pair's expert. @returns `[T·K, width]` f32 */
export function expertGatedUnit(
  pass: Pass,
  experts: MoeFfn['experts'],
  h: Normed,
  routed: Routed | RoutedTiles,
  { topK, width }: { topK: number; width: number },
): GpuBuffer {
  const { rec, scratch, f16 } = pass;
  const { quantized } = h;
  const inner = scratch.rows('expert inner', topK * width); // [T·K, width]
  if (!('gateUp' in experts)) {
    const one = (w: WeightMatrix, gated: boolean) => {
      if (norms(pass, w, h, true)) expertMatvec(rec, w, h.x, inner, routed, { gated, norm: h.norm });
      else expertProduct(rec, w, h.plain(), inner, routed, { f16, quantized, gated });
    };
    one(experts.gate, false);
    one(experts.up, true);
  } else if ('routing' in routed) {
    const both = scratch.rows('expert gate and up', topK * 2 * width); // [T·K, 2, width]
    expertProduct(rec, experts.gateUp, h.plain(), both, routed, { f16, quantized });
    swiglu(rec, both, inner, routed.pairs, width);
  } else {
    const { x, norm } = input(pass, experts.gateUp, h, true);
    expertMatvec(rec, experts.gateUp, x, inner, routed, { swiglu: true, norm });
  }
  return inner;
}

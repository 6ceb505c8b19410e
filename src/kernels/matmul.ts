import type { Bindable, Gpu, Recorder, ShaderVariant, SubgroupMatrix } from '../gpu/index.ts';
import { CHUNK } from '../weights/quant-layout.ts';
import { choicesOf } from './choices.ts';
import { foldGrid, subgroupsAreQuads } from './lanes.ts';
import { expertMatvec, matvec, type Routed } from './matvec.ts';
import {
  expertProductCost,
  expertProductParams,
  type ProductOptions,
  productCost,
  productParams,
} from './product-params.ts';
import type { WeightMatrix } from './weight-matrix.ts';

/** Which product for many tokens, the rows and tokens a workgroup of it makes, and how they are shared out to lanes. */
export type MatmulShape =
  | {
      /** `int8 …`: over small integers, with x rounded to 8 bits. */
      readonly kind: 'tiled' | 'int8 tiled';
      readonly rows: number;
      readonly tokens: number;
      readonly laneRows: number;
      readonly laneTokens: number;
    }
  | {
      readonly kind: 'lanes' | 'int8 lanes';
      readonly lanes: number;
      readonly rows: number;
      readonly tokens: number;
    }
  | { readonly kind: 'quads'; readonly rows: number; readonly tokens: number }
  /** Subgroups of `lanes` lanes, each with `waveRows` × `waveTokens` products of the tile, by `matrix` units. */
  | {
      readonly kind: 'matrix';
      readonly rows: number;
      readonly tokens: number;
      readonly waveRows: number;
      readonly waveTokens: number;
      readonly lanes: number;
      readonly matrix: SubgroupMatrix;
    };

/** `wide`: more tokens than any tile has. `narrow`: few, or routed pairs, of which an expert may get few. */
export type MatmulWidth = 'wide' | 'narrow';

/** Up to this many tokens are narrow. */
const NARROW_TOKENS = 32;

type Tiled = MatmulShape & { readonly kind: 'tiled' | 'int8 tiled' };

function tiled(rows: number, tokens: number, laneRows: number, laneTokens: number): Tiled {
  return { kind: 'tiled', rows, tokens, laneRows, laneTokens };
}

/** Fits every device: WebGPU promises 16 KiB of workgroup memory. */
const SMALL_TILE = tiled(32, 16, 4, 2);

/** As `matmul_quads.wgsl` is written: what it does for a token is there once for each. */
const QUADS: MatmulShape = { kind: 'quads', rows: 16, tokens: 8 };

const TILES: Readonly<Record<MatmulWidth, readonly Tiled[]>> = {
  wide: [tiled(64, 64, 4, 8), tiled(128, 64, 8, 8), tiled(64, 32, 4, 4), SMALL_TILE],
  narrow: [tiled(64, 16, 4, 4), tiled(64, 32, 4, 4), SMALL_TILE],
};

/**
 * Shapes that this device can run, the one that is taken unmeasured first. Narrow subgroups are software adapters, for which
 * see `matmul_lanes.wgsl` and, for those of four lanes, `matmul_quads.wgsl`; sixteen rows by four tokens were the
 * fastest of those by lanes that compile in about a second (docs/measurements/matmul.md).
 */
export function matmulShapes(gpu: Gpu, width: MatmulWidth, f16: boolean): readonly MatmulShape[] {
  const [first, ...others] = [...narrowShapes(gpu), ...TILES[width]];
  return [first, ...matrixShapes(gpu, width, f16), ...others].filter((shape) => fits(gpu, shape, f16));
}

function narrowShapes(gpu: Gpu): readonly MatmulShape[] {
  if (subgroupsAreQuads(gpu)) return [QUADS];
  const lanes = narrowLanes(gpu);
  return lanes ? [{ kind: 'lanes', lanes, rows: 16, tokens: 32 / lanes }] : [];
}

/**
 * By matrix units, where the adapter has some. They are never taken unmeasured: what is known of them is that they give the right
 * products on a software adapter.
 */
function matrixShapes({ capabilities }: Gpu, width: MatmulWidth, f16: boolean): MatmulShape[] {
  const { subgroupMatrices, subgroupMaxSize: lanes } = capabilities;
  // Factors in f32 serve f16, too; those in f16 are the faster ones where there are both.
  const matrix = (f16 && subgroupMatrices.find((each) => each.f16)) || subgroupMatrices.find((each) => !each.f16);
  if (!matrix) return [];
  const shape = (rows: number, tokens: number, waveRows: number, waveTokens: number): MatmulShape[] => {
    const whole = [waveRows % matrix.m, waveTokens % matrix.n, CHUNK % matrix.k].every((rest) => rest === 0);
    return whole ? [{ kind: 'matrix', rows, tokens, waveRows, waveTokens, lanes, matrix }] : [];
  };
  return width === 'wide' ? [...shape(64, 64, 32, 32), ...shape(64, 32, 32, 16)] : shape(64, 16, 16, 16);
}

/** Each has two registers, one in integers and one in floats. */
const INT8_LANE_PRODUCTS = 32;

/**
 * The same for products of small integers. Unmeasured, only those of narrow subgroups are taken: tiles of integers were never
 * run on a GPU (docs/measurements/matmul.md).
 */
export function int8Shapes(gpu: Gpu, width: MatmulWidth): readonly MatmulShape[] {
  const tiles = TILES[width]
    .filter(({ laneRows, laneTokens }) => laneRows * laneTokens <= INT8_LANE_PRODUCTS)
    .map((shape): Tiled => ({ ...shape, kind: 'int8 tiled' }));
  return [...int8InLanes(gpu), ...tiles.filter((shape) => fits(gpu, shape, false))];
}

/** Not of quads: there the floats of `matmul_quads.wgsl` are faster. */
function int8InLanes(gpu: Gpu): readonly MatmulShape[] {
  const lanes = narrowLanes(gpu);
  return lanes && !subgroupsAreQuads(gpu) ? [{ kind: 'int8 lanes', lanes, rows: 16, tokens: 4 }] : [];
}

/** Lanes of a subgroup, where they are few and always as many. */
function narrowLanes({ capabilities }: Gpu): number | undefined {
  const { subgroups, subgroupMinSize: lanes, subgroupMaxSize } = capabilities;
  return subgroups && subgroupMaxSize <= 8 && lanes === subgroupMaxSize ? lanes : undefined;
}

/** The shape for a product, as chosen for the device. @param int8 x may be rounded to 8 bits, if that is faster */
export function matmulShape(gpu: Gpu, width: MatmulWidth, f16: boolean, int8 = false): MatmulShape {
  const { matmul, matmulInt8 } = choicesOf(gpu);
  const wanted = int8 ? [matmulInt8?.[width], ...int8InLanes(gpu), matmul?.[width]] : [matmul?.[width]];
  return wanted.find((shape) => shape && fits(gpu, shape, f16)) ?? matmulShapes(gpu, width, f16)[0];
}

function isTiled(shape: MatmulShape): shape is Tiled {
  return shape.kind === 'tiled' || shape.kind === 'int8 tiled';
}

function isInt8({ kind }: MatmulShape): boolean {
  return kind === 'int8 tiled' || kind === 'int8 lanes';
}

function fits({ limits }: Gpu, shape: MatmulShape, f16: boolean): boolean {
  if (!isTiled(shape) && shape.kind !== 'matrix') return true;
  const { tokens } = shape;
  const { lanes, tileBytes } = shape.kind === 'matrix' ? matrixNeeds(shape) : tileNeeds(shape, f16);
  return (
    tileBytes + 4 * tokens <= limits.maxComputeWorkgroupStorageSize &&
    lanes <= Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX)
  );
}

/** As declared in matmul.wgsl. */
function tileNeeds({ kind, rows, tokens, laneRows, laneTokens }: Tiled, f16: boolean) {
  const lanes = (rows / laneRows) * (tokens / laneTokens);
  const floats = CHUNK * (f16 ? 2 : 4) * (rows + tokens);
  const integers = (CHUNK + 16) * rows + (CHUNK + 12) * tokens;
  return { lanes, tileBytes: 2 * (kind === 'tiled' ? floats : integers) };
}

/** Numbers from one row or token of a tile of `matmul_subgroup_matrix.wgsl` to the next: 32 columns, and a step to other banks. */
const MATRIX_STRIDE = 40;

/** As declared in matmul_subgroup_matrix.wgsl. */
function matrixNeeds({ rows, tokens, waveRows, waveTokens, lanes, matrix }: MatmulShape & { kind: 'matrix' }) {
  const waves = (rows / waveRows) * (tokens / waveTokens);
  return {
    lanes: waves * lanes,
    tileBytes: 2 * MATRIX_STRIDE * (rows + tokens) * (matrix.f16 ? 2 : 4) + 4 * waves * matrix.m * matrix.n,
  };
}

/** Up to this many rows of x, reading W once per row is no slower than tiles that are mostly padding. */
export const MATVEC_TOKENS = 4;

export interface MatmulOptions extends ProductOptions {
  /** Tiles in f16, where the product is tiled. */
  f16?: boolean;
  /** x as `quantizeActivations` leaves it, asked for where the product is of small integers. Without it none is. */
  quantized?: () => Bindable;
  shape?: MatmulShape;
}

/**
 * `y[t] = W · x[t]`, by the kernel that suits the number of rows.
 * @param x `[tokens, columns]` f32
 * @param y `[tokens, rows]` f32
 */
export function product(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  tokens: number,
  options: Omit<MatmulOptions, 'shape'> = {},
): void {
  if (tokens <= MATVEC_TOKENS) matvec(rec, w, x, y, tokens, options);
  else matmul(rec, w, x, y, tokens, options);
}

/** The product for many rows of x. Arguments as `product`. */
export function matmul(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  tokens: number,
  { f16 = false, quantized, shape, ...options }: MatmulOptions = {},
): void {
  const int8 = quantized !== undefined && w.hasIntegers;
  shape ??= matmulShape(rec.gpu, tokens > NARROW_TOKENS ? 'wide' : 'narrow', f16, int8);
  const input = inputOf(shape, x, quantized);
  for (const part of w.parts) {
    rec.dispatch(
      variant(w, shape, { f16, experts: false }),
      { ...w.bindings(part), ...input, products: y },
      productParams(w, part, { tokens, ...options }),
      foldGrid(rec.gpu, Math.ceil(part.count / shape.rows), Math.ceil(tokens / shape.tokens)),
      productCost(w, part, tokens),
    );
  }
}

/** Routed pairs, with the tiles that `expertGroups` made of them where there are many. */
export interface RoutedTiles extends Routed {
  routing: Bindable;
  maxTiles: number;
  shape: MatmulShape;
}

type ExpertMatmulOptions = Pick<MatmulOptions, 'f16' | 'quantized' | 'gated'>;

/**
 * `y[p] = W[slots[p]] · x[p / xShare]`, by the kernel that suits the number of pairs.
 * @param w stack of experts
 * @param y `[pairs, rows]` f32
 */
export function expertProduct(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  routed: Routed | RoutedTiles,
  options: ExpertMatmulOptions = {},
): void {
  if ('routing' in routed) expertMatmul(rec, w, x, y, routed, options);
  else expertMatvec(rec, w, x, y, routed, { gated: options.gated });
}

/** The product over pairs grouped by expert, in the shape they were grouped for. Arguments as `expertProduct`. */
export function expertMatmul(
  rec: Recorder,
  w: WeightMatrix,
  x: Bindable,
  y: Bindable,
  { routing, maxTiles, shape, xShare, pairs }: RoutedTiles,
  { f16 = false, quantized, gated }: ExpertMatmulOptions = {},
): void {
  const slots = w.parts.reduce((sum, { count }) => sum + count, 0);
  const input = inputOf(shape, x, quantized);
  for (const part of w.parts) {
    rec.dispatch(
      variant(w, shape, { f16, experts: true }),
      { ...w.bindings(part), ...input, products: y, routing },
      expertProductParams(w, part, { pairs, xShare, gated, maxTiles }),
      foldGrid(rec.gpu, Math.ceil(w.rows / shape.rows), maxTiles),
      expertProductCost(w, part, { pairs, read: Math.min(pairs, slots) }),
    );
  }
}

function inputOf(shape: MatmulShape, x: Bindable, quantized: (() => Bindable) | undefined): Record<string, Bindable> {
  if (!isInt8(shape)) return { activations: x };
  if (!quantized) throw new Error('a product of small integers wants x quantised');
  return { quantized: quantized() };
}

function variant(
  w: WeightMatrix,
  shape: MatmulShape,
  { f16, experts }: { f16: boolean; experts: boolean },
): ShaderVariant {
  const { rows, tokens } = shape;
  const int8 = isInt8(shape);
  if (isTiled(shape)) {
    const constants = { ROWS: rows, TOKENS: tokens, LANE_ROWS: shape.laneRows, LANE_TOKENS: shape.laneTokens };
    return { name: 'matmul', ...w.variant, conditions: { f16: f16 && !int8, int8, experts }, constants };
  }
  if (shape.kind === 'quads') return { name: 'matmul_quads', ...w.variant, conditions: { experts } };
  if (shape.kind === 'matrix') {
    const { lanes, waveRows, waveTokens, matrix } = shape;
    const { m: M, n: N, k: K } = matrix;
    return {
      name: 'matmul_subgroup_matrix',
      ...w.variant,
      conditions: { f16: matrix.f16, experts },
      constants: {
        LANES: lanes,
        ROWS: rows,
        TOKENS: tokens,
        WAVE_ROWS: waveRows,
        WAVE_TOKENS: waveTokens,
        STRIDE: MATRIX_STRIDE,
        M,
        N,
        K,
      },
    };
  }
  const constants = { LANES: shape.lanes, ROWS: rows, TOKENS: tokens };
  return { name: 'matmul_lanes', ...w.variant, conditions: { int8, experts }, constants };
}

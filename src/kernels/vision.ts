import type { Bindable, Recorder } from '../gpu/index.ts';

/** A run of a picture's patches, in merge order. */
export interface PatchRun {
  readonly first: number;
  readonly count: number;
  /** Patches a row of the picture. */
  readonly gridWidth: number;
  /** Patches a side of the squares that become one token. */
  readonly merge: number;
}

export interface PixelOptions {
  patchSize: number;
  mean: readonly number[];
  std: readonly number[];
}

/** Normalised pixels of each patch, `[count, 3, P, P]`. @param pixels `[height, width]` RGBA bytes */
export function visionPatches(
  rec: Recorder,
  pixels: Bindable,
  patches: Bindable,
  run: PatchRun,
  { patchSize, mean, std }: PixelOptions,
): void {
  rec.dispatch(
    { name: 'vision_patches' },
    { pixels, patches },
    {
      ...place(run),
      patch_size: patchSize,
      mean_r: mean[0],
      mean_g: mean[1],
      mean_b: mean[2],
      std_r: std[0],
      std_g: std[1],
      std_b: std[2],
    },
    [Math.ceil(patchSize ** 2 / 64), run.count],
  );
}

export interface PositionInput {
  /** `[points, points, columns]` f32. */
  readonly grid: Bindable;
  /** `[columns]` f32: the patch embedding's. */
  readonly bias: Bindable;
  /** `[height, 2]` and `[width, 2]` f32, from `gridPoints`. */
  readonly rows: Bindable;
  readonly columnsAt: Bindable;
}

/** `x += bias + position`. @param x `[count, stride]` f32 */
export function visionPosition(
  rec: Recorder,
  { grid, bias, rows, columnsAt }: PositionInput,
  x: Bindable,
  run: PatchRun,
  { points, columns, stride }: { points: number; columns: number; stride: number },
): void {
  rec.dispatch(
    { name: 'vision_position' },
    { grid, bias, rows, columns_at: columnsAt, x },
    { ...place(run), points, columns: columns / 4, stride: stride / 4 },
    [Math.ceil(columns / 256), run.count],
  );
}

/** Where n patches lie on a side of `points` grid points, corners aligned: (point before, share of the next). */
export function gridPoints(n: number, points: number): Float32Array<ArrayBuffer> {
  const places = new Float32Array(2 * n);
  for (let i = 0; i < n; i++) {
    const at = n === 1 ? 0 : (i * (points - 1)) / (n - 1);
    places[2 * i] = Math.floor(at);
    places[2 * i + 1] = at - Math.floor(at);
  }
  return places;
}

export interface VisionHeads {
  readonly heads: number;
  readonly headDim: number;
  /** Floats from one patch to the next. */
  readonly stride: number;
}

/**
 * Adds the bias to queries or keys, and turns them by row and column, in place.
 * @param bias f32: one for each dim of all heads, from `biasAt` on
 * @param turns from `visionTurns`
 */
export function visionRotary(
  rec: Recorder,
  x: Bindable,
  bias: Bindable,
  turns: Bindable,
  run: PatchRun,
  { heads, headDim, stride }: VisionHeads,
  biasAt = 0,
): void {
  rec.dispatch(
    { name: 'vision_rotary' },
    { x, bias, turns },
    { ...place(run), heads, head_dim: headDim, stride, bias_at: biasAt },
    [Math.ceil((heads * headDim) / 2 / 64), run.count],
  );
}

const ROTARY_BASE = 10_000;

/** Cosines and sines for positions 0 … n − 1, `[n, D / 4, 2]`. */
export function visionTurns(n: number, headDim: number): Float32Array<ArrayBuffer> {
  const quarter = headDim / 4;
  const turns = new Float32Array(n * quarter * 2);
  for (let position = 0; position < n; position++) {
    for (let i = 0; i < quarter; i++) {
      const angle = position * ROTARY_BASE ** (-i / quarter);
      turns[2 * (position * quarter + i)] = Math.cos(angle);
      turns[2 * (position * quarter + i) + 1] = Math.sin(angle);
    }
  }
  return turns;
}

/**
 * Queries (one a lane) and keys of a workgroup. On GPUs two tiles of keys and values of up to 128 dimensions fit the 16 KiB of
 * workgroup memory that every device has; on software adapters, a subgroup's queries and results do.
 */
const ATTENTION_SHAPES = {
  tiled: { QUERIES: 64, KEYS: 16 },
  inMemory: { QUERIES: 8, KEYS: 16 },
} as const;
export const MAX_VISION_HEAD_DIM = 128;

/**
 * Full attention of some queries over all keys.
 * @param q, y `[queries, stride]` f32 @param k, v `[keys, stride]` f32
 */
export function visionAttention(
  rec: Recorder,
  { q, k, v, y }: { q: Bindable; k: Bindable; v: Bindable; y: Bindable },
  queries: number,
  keys: number,
  { heads, headDim, stride }: VisionHeads,
  kind: keyof typeof ATTENTION_SHAPES = rec.gpu.capabilities.subgroupMaxSize <= 8 ? 'inMemory' : 'tiled',
): void {
  const shape = ATTENTION_SHAPES[kind];
  rec.dispatch(
    {
      name: 'vision_attention',
      conditions: { in_memory: kind === 'inMemory' },
      constants: { VECS: headDim / 4, ...shape },
    },
    { q, k, v, y },
    { queries, keys, stride: stride / 4, scale: 1 / Math.sqrt(headDim), vecs: headDim / 4, keys_at_once: shape.KEYS },
    [Math.ceil(queries / shape.QUERIES), heads],
  );
}

function place({ first, gridWidth, merge }: PatchRun) {
  return { first, grid_width: gridWidth, merge };
}

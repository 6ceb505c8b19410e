/**
 * Bicubic resizing with antialias, as the model's training pictures were resized (Pillow's BICUBIC): the cubic of Keys with
 * a = −1/2, widened by the factor of shrinking; columns first, then rows, with bytes in between.
 */
import type { Size } from './target-size.ts';

export interface Pixels extends Size {
  /** `[height, width]` RGBA; alpha is neither read nor kept. */
  readonly rgba: Uint8Array<ArrayBuffer>;
}

const CUBIC_RADIUS = 2;
const OPAQUE = 255;

export function resize(source: Pixels, { width, height }: Size): Pixels {
  const wide = source.width === width ? source : resizeColumns(source, width);
  return wide.height === height ? wide : resizeRows(wide, height);
}

interface Taps {
  /** First source pixel of each target pixel, and how many follow with it. */
  readonly first: Uint32Array;
  readonly count: Uint32Array;
  /** `[target, most]`: their shares, which add up to 1. */
  readonly shares: Float64Array;
  readonly most: number;
}

function taps(source: number, target: number): Taps {
  const scale = source / target;
  const stretch = Math.max(1, scale);
  const radius = CUBIC_RADIUS * stretch;
  const most = 2 * Math.ceil(radius) + 1;
  const first = new Uint32Array(target);
  const count = new Uint32Array(target);
  const shares = new Float64Array(target * most);
  for (let i = 0; i < target; i++) {
    const centre = (i + 0.5) * scale;
    const begin = Math.max(0, Math.floor(centre - radius + 0.5));
    const end = Math.min(source, Math.floor(centre + radius + 0.5));
    let sum = 0;
    for (let j = begin; j < end; j++) {
      const share = cubic((j + 0.5 - centre) / stretch);
      shares[i * most + j - begin] = share;
      sum += share;
    }
    for (let j = 0; j < end - begin; j++) shares[i * most + j] /= sum;
    first[i] = begin;
    count[i] = end - begin;
  }
  return { first, count, shares, most };
}

/** Keys' cubic, a = −1/2. */
function cubic(x: number): number {
  const d = Math.abs(x);
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  if (d < 2) return ((-0.5 * d + 2.5) * d - 4) * d + 2;
  return 0;
}

function resizeColumns({ width, height, rgba }: Pixels, target: number): Pixels {
  const { first, count, shares, most } = taps(width, target);
  const out = new Uint8Array(target * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < target; x++) {
      let [r, g, b] = [0, 0, 0];
      let from = (y * width + first[x]) * 4;
      for (let j = x * most; j < x * most + count[x]; j++, from += 4) {
        r += shares[j] * rgba[from];
        g += shares[j] * rgba[from + 1];
        b += shares[j] * rgba[from + 2];
      }
      store(out, (y * target + x) * 4, r, g, b);
    }
  }
  return { width: target, height, rgba: out };
}

function resizeRows({ width, height, rgba }: Pixels, target: number): Pixels {
  const { first, count, shares, most } = taps(height, target);
  const out = new Uint8Array(width * target * 4);
  for (let y = 0; y < target; y++) {
    for (let x = 0; x < width; x++) {
      let [r, g, b] = [0, 0, 0];
      let from = (first[y] * width + x) * 4;
      for (let j = y * most; j < y * most + count[y]; j++, from += width * 4) {
        r += shares[j] * rgba[from];
        g += shares[j] * rgba[from + 1];
        b += shares[j] * rgba[from + 2];
      }
      store(out, (y * width + x) * 4, r, g, b);
    }
  }
  return { width, height: target, rgba: out };
}

/** A cubic overshoots at edges: bytes are clamped. */
function store(out: Uint8Array, at: number, r: number, g: number, b: number): void {
  out[at] = Math.min(255, Math.max(0, Math.floor(r + 0.5)));
  out[at + 1] = Math.min(255, Math.max(0, Math.floor(g + 0.5)));
  out[at + 2] = Math.min(255, Math.max(0, Math.floor(b + 0.5)));
  out[at + 3] = OPAQUE;
}

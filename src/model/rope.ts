import type { RopeConfig, YarnConfig } from './config.ts';

/** Position of a token in time, height and width; a text token has all three alike. */
export type Position = readonly [t: number, h: number, w: number];

/**
 * Angles' cosines and sines for each token and rotary pair, `[T, dim / 2, 2]`.
 * Interleaved multimodal positions: pair i turns with h if i % 3 = 1 and i < 3·sections[1], with w if i % 3 = 2 and
 * i < 3·sections[2], otherwise with t. In float64, because angles reach the context length. Source: qwen35.md §2.1.
 */
export function ropeTable(
  { base, dim, sections, yarn }: RopeConfig,
  positions: readonly Position[],
): Float32Array<ArrayBuffer> {
  const pairs = dim / 2;
  const table = new Float32Array(positions.length * pairs * 2);
  const shares = yarn && extrapolatedShares(yarn, base, dim);
  const frequencies = Float64Array.from({ length: pairs }, (_, i) => {
    const share = shares?.[i] ?? 1;
    return base ** (-i / pairs) * (share + (1 - share) / (yarn?.factor ?? 1));
  });
  const size = yarn ? yarnMagnitude(yarn) : 1;
  const axes = Array.from({ length: pairs }, (_, i) => axisOfPair(i, sections));
  positions.forEach((position, t) => {
    for (let i = 0; i < pairs; i++) {
      const angle = position[axes[i]] * frequencies[i];
      table[2 * (t * pairs + i)] = size * Math.cos(angle);
      table[2 * (t * pairs + i) + 1] = size * Math.sin(angle);
    }
  });
  return table;
}

/**
 * YaRN: how far each pair keeps its frequency. Pairs that turn more than `betaFast` times over the original context keep it,
 * those that turn less than `betaSlow` times are interpolated to the longer one, and between them goes a ramp over pairs,
 * whose ends are whole. Source: arXiv 2309.00071 §3.2; llama.cpp's and transformers' implementations of it.
 */
function extrapolatedShares(yarn: YarnConfig, base: number, dim: number): number[] {
  const { originalContextLength, betaFast, betaSlow } = yarn;
  const pairThatTurns = (times: number) =>
    (dim * Math.log(originalContextLength / (times * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(0, Math.floor(pairThatTurns(betaFast)));
  const high = Math.min(dim - 1, Math.ceil(pairThatTurns(betaSlow)));
  return Array.from({ length: dim / 2 }, (_, i) => {
    const along = (i - low) / Math.max(0.001, high - low);
    return 1 - Math.min(1, Math.max(0, along));
  });
}

/** YaRN sharpens the attention of a longer context: queries and keys both grow by this. Source: arXiv 2309.00071 §3.3. */
function yarnMagnitude({ factor, attentionFactor }: YarnConfig): number {
  return attentionFactor * (1 + 0.1 * Math.log(factor));
}

function axisOfPair(i: number, sections: readonly number[]): 0 | 1 | 2 {
  if (i % 3 === 1 && i < 3 * (sections[1] ?? 0)) return 1;
  if (i % 3 === 2 && i < 3 * (sections[2] ?? 0)) return 2;
  return 0;
}

/** Where an image's tokens lie in a sequence. */
export interface ImageSpan {
  /** Index of its first token. */
  readonly first: number;
  /** Rows and columns of tokens. */
  readonly grid: readonly [height: number, width: number];
}

/**
 * Positions of tokens `first` … `first + count` of a sequence. An image's tokens share the time p of its beginning and have
 * height and width p + row and p + column; what follows goes on at p + max(rows, columns). Source: qwen35.md §7.
 * @param images in the order of the sequence
 */
export function sequencePositions(first: number, count: number, images: readonly ImageSpan[] = []): Position[] {
  const positions: Position[] = [];
  let next = 0; // the image not yet passed
  let shift = 0; // of positions against indices, by the images passed
  for (let i = first; i < first + count; i++) {
    while (next < images.length && i >= imageEnd(images[next])) {
      const [height, width] = images[next++].grid;
      shift += Math.max(height, width) - height * width;
    }
    const image = images[next];
    if (image === undefined || i < image.first) {
      positions.push([i + shift, i + shift, i + shift]);
    } else {
      const p = image.first + shift;
      const within = i - image.first;
      const width = image.grid[1];
      positions.push([p, p + Math.floor(within / width), p + (within % width)]);
    }
  }
  return positions;
}

/** Index after an image's last token. */
export function imageEnd({ first, grid }: ImageSpan): number {
  return first + grid[0] * grid[1];
}

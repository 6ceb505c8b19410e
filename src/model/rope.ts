import type { RopeConfig } from './config.ts';

/** Position of a token in time, height and width; a text token has all three alike. */
export type Position = readonly [t: number, h: number, w: number];

/**
 * Angles' cosines and sines for each token and rotary pair, `[T, dim / 2, 2]`.
 * Interleaved multimodal positions: pair i turns with h if i % 3 = 1 and i < 3·sections[1], with w if i % 3 = 2 and
 * i < 3·sections[2], otherwise with t. In float64, because angles reach the context length. Source: qwen35.md §2.1.
 */
export function ropeTable(
  { base, dim, sections }: RopeConfig,
  positions: readonly Position[],
): Float32Array<ArrayBuffer> {
  const pairs = dim / 2;
  const table = new Float32Array(positions.length * pairs * 2);
  const frequencies = Float64Array.from({ length: pairs }, (_, i) => base ** (-i / pairs));
  const axes = Array.from({ length: pairs }, (_, i) => axisOfPair(i, sections));
  positions.forEach((position, t) => {
    for (let i = 0; i < pairs; i++) {
      const angle = position[axes[i]] * frequencies[i];
      table[2 * (t * pairs + i)] = Math.cos(angle);
      table[2 * (t * pairs + i) + 1] = Math.sin(angle);
    }
  });
  return table;
}

function axisOfPair(i: number, sections: readonly number[]): 0 | 1 | 2 {
  if (i % 3 === 1 && i < 3 * (sections[1] ?? 0)) return 1;
  if (i % 3 === 2 && i < 3 * (sections[2] ?? 0)) return 2;
  return 0;
}

export function textPositions(first: number, count: number): Position[] {
  return Array.from({ length: count }, (_, i): Position => [first + i, first + i, first + i]);
}

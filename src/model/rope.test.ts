import { describe, expect, test } from 'vitest';
import { visionGolden } from '../../tools/testing/vision.ts';
import { ropeTable, sequencePositions } from './rope.ts';

const QWEN = { base: 1e7, dim: 64, sections: [11, 11, 10, 0] };

function angleAt(table: Float32Array, token: number, pair: number): number {
  return Math.atan2(table[2 * (token * 32 + pair) + 1], table[2 * (token * 32 + pair)]);
}

describe('ropeTable', () => {
  test('turns pair i of token p by p · base^(-i / 32)', () => {
    const table = ropeTable(QWEN, sequencePositions(3, 2));
    for (const [token, position] of [3, 4].entries()) {
      for (const pair of [0, 1, 2, 17, 31]) {
        const angle = position * 1e7 ** (-pair / 32);
        expect(angleAt(table, token, pair)).toBeCloseTo(Math.atan2(Math.sin(angle), Math.cos(angle)), 6);
      }
    }
  });

  test('is exact at the end of a long context', () => {
    const [cos, sin] = ropeTable(QWEN, sequencePositions(262_143, 1));
    expect(cos).toBeCloseTo(Math.cos(262_143), 6);
    expect(sin).toBeCloseTo(Math.sin(262_143), 6);
  });

  test('gives interleaved pairs to time, height and width, and what is left over to time', () => {
    // Position 0 turns nothing, so the pairs that turn tell whose they are.
    const pairsOf = (position: readonly [number, number, number]) => {
      const table = ropeTable(QWEN, [position]);
      return Array.from({ length: 32 }, (_, i) => i).filter((i) => angleAt(table, 0, i) !== 0);
    };
    const height = [1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31];
    const width = [2, 5, 8, 11, 14, 17, 20, 23, 26, 29];
    expect(pairsOf([0, 1, 0])).toEqual(height);
    expect(pairsOf([0, 0, 1])).toEqual(width);
    const time = Array.from({ length: 32 }, (_, i) => i).filter((i) => !height.includes(i) && !width.includes(i));
    expect(pairsOf([1, 0, 0])).toEqual(time);
  });
});

describe('ropeTable with YaRN', () => {
  // Computed with numpy by the formulas of the paper, as transformers has them: angle of one token by pair, and how much
  // cosines and sines grow.
  test.each([
    {
      title: 'of Qwen 3.5 times four',
      rope: {
        base: 1e7,
        dim: 64,
        sections: [],
        yarn: { factor: 4, originalContextLength: 262_144, betaFast: 32, betaSlow: 1 },
      },
      size: 1.138629436111989,
      frequencies: {
        0: 1,
        14: 0.0008659643233600654,
        15: 0.0004742398226801046,
        18: 7.217387404309113e-5,
        21: 8.759770071179004e-6,
        31: 4.1370427498579534e-8,
      },
    },
    {
      title: 'of another model, with other bounds',
      rope: {
        base: 1e4,
        dim: 32,
        sections: [],
        yarn: { factor: 16, originalContextLength: 4096, betaFast: 16, betaSlow: 2 },
      },
      size: 1.2772588722239782,
      frequencies: {
        0: 1,
        6: 0.03162277660168379,
        7: 0.01444852020656625,
        8: 0.00625,
        10: 0.0007905694150420948,
        15: 1.1114246312743269e-5,
      },
    },
  ])('turns pairs $title', ({ rope, size, frequencies }) => {
    const config = { ...rope, yarn: { ...rope.yarn, attentionFactor: 1 } };
    const position = 12_345;
    const table = ropeTable(config, [[position, position, position]]);
    for (const [pair, frequency] of Object.entries(frequencies)) {
      const [cos, sin] = table.subarray(2 * Number(pair));
      expect(cos, `pair ${pair}`).toBeCloseTo(size * Math.cos(position * frequency), 6);
      expect(sin, `pair ${pair}`).toBeCloseTo(size * Math.sin(position * frequency), 6);
    }
    const doubled = ropeTable({ ...config, yarn: { ...config.yarn, attentionFactor: 2 } }, [[0, 0, 0]]);
    expect(doubled[0]).toBeCloseTo(2 * size, 6);
  });
});

describe('sequencePositions', () => {
  test('are those of the mixed conversations, however they are cut into passes', async () => {
    const golden = await visionGolden();
    for (const { parts, ids, positions } of golden.cases) {
      const pad = 742;
      let at = 0;
      const images = parts
        .filter((part) => part !== 'text')
        .map((number) => {
          const first = ids.indexOf(pad, at);
          const { grid, tokens } = golden.images[number];
          at = first + tokens;
          return { first, grid };
        });
      expect(sequencePositions(0, ids.length, images)).toEqual(positions);
      for (const cut of [1, 7, ids.length - 1]) {
        const [before, after] = [sequencePositions(0, cut, images), sequencePositions(cut, ids.length - cut, images)];
        expect([...before, ...after]).toEqual(positions);
      }
    }
  });

  test('of a video go on from pair to pair, with its times in between', () => {
    // Text of 5, then three pairs of 2 × 3 tokens with 4 tokens of text around each, then a wide image, then text.
    const blocks = [5, [2, 3], 4, [2, 3], 4, [2, 3], 3, [1, 6], 2] as const;
    const expected: [number, number, number][] = [];
    const images: { first: number; grid: readonly [number, number] }[] = [];
    // The published rule, said otherwise: a block begins one after the largest position so far.
    for (const block of blocks) {
      const start = Math.max(-1, ...expected.flat()) + 1;
      if (typeof block === 'number') {
        for (let i = 0; i < block; i++) expected.push([start + i, start + i, start + i]);
        continue;
      }
      images.push({ first: expected.length, grid: block });
      for (let row = 0; row < block[0]; row++) {
        for (let column = 0; column < block[1]; column++) expected.push([start, start + row, start + column]);
      }
    }
    expect(sequencePositions(0, expected.length, images)).toEqual(expected);
    expect(sequencePositions(17, 9, images)).toEqual(expected.slice(17, 26));
  });
});

import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type GridName, gridValues, gridWords, signBytes } from './iq-grids.ts';

const sha256 = (bytes: Uint8Array | Int8Array) => createHash('sha256').update(bytes).digest('hex');

// Checksums of the values as signed bytes, computed from the tables of the gguf Python package 0.19.
const EXPECTED: Record<GridName, { entries: number; width: number; alphabet: number[]; sha256: string }> = {
  IQ2_XXS: {
    entries: 256,
    width: 8,
    alphabet: [8, 25, 43],
    sha256: '05826b5d3e472a3a78f196be62ac78acf81df0f909626e12ab9fa2a5d490dd54',
  },
  IQ2_XS: {
    entries: 512,
    width: 8,
    alphabet: [8, 25, 43],
    sha256: '06e47aaca60b4dc1d9b5a3f34540437058a6b142b4d7a59d5ded769b4d1bf1de',
  },
  IQ2_S: {
    entries: 1024,
    width: 8,
    alphabet: [8, 25, 43],
    sha256: 'e1aa1473412b0552c2174c30ef22ab4073f6a181b85a17056e8249bd2932fd88',
  },
  IQ3_XXS: {
    entries: 256,
    width: 4,
    alphabet: [4, 12, 20, 28, 36, 44, 52, 62],
    sha256: '46e35f5a997efdee6c99ce57854c8a0d4f0ff8ca57e5e8a60c0793ea580acf5d',
  },
  IQ3_S: {
    entries: 512,
    width: 4,
    alphabet: [1, 3, 5, 7, 9, 11, 13, 15],
    sha256: 'bd1af4945a1717c65610b0284e4628b9a1ba3b306fae3a06f6e5f597356e349f',
  },
  IQ1_S: {
    entries: 2048,
    width: 8,
    alphabet: [-1, 0, 1],
    sha256: '07540ffc1aeaf6ad4d97e96b0fcc765aae39671d4ae4a27bbd0e796fde167c6a',
  },
};

describe.each(Object.entries(EXPECTED))('codebook of %s', (key, expected) => {
  const name = key as GridName;

  it('has the published entries', () => {
    const values = gridValues(name);
    expect(values.length).toBe(expected.entries * expected.width);
    expect([...new Set(values)].sort((a, b) => a - b)).toEqual(expected.alphabet);
    expect(sha256(values)).toBe(expected.sha256);
  });

  it('packs every value where the shader looks for it', () => {
    const values = gridValues(name);
    const words = gridWords(name);
    if (name === 'IQ1_S') {
      expect(words.length).toBe(expected.entries);
      const unpacked = Int8Array.from(values, (_, i) => ((words[i >> 3] >>> (4 * (i & 7))) & 15) - 1);
      expect(unpacked).toEqual(values);
    } else {
      expect(words.length).toBe((expected.entries * expected.width) / 4);
      const unpacked = Int8Array.from(values, (_, i) => (words[i >> 2] >>> (8 * (i & 3))) & 255);
      expect(unpacked).toEqual(values);
    }
  });
});

describe('sign bytes', () => {
  it('complete seven signs to an even number of negative values', () => {
    const signs = signBytes();
    expect(signs.length).toBe(128);
    signs.forEach((byte, s) => {
      expect(byte & 127).toBe(s);
      expect([...byte.toString(2)].filter((bit) => bit === '1').length % 2).toBe(0);
    });
    expect(sha256(signs)).toBe('a76742a603f8beca5212ecce0f1f02f11a4887fd2f7c8b15aca0ea3eb3380c31');
  });
});

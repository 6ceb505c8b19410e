import { describe, expect, it } from 'vitest';
import { CHUNK, PLANES, planeBytes, quantLayouts } from './quant-layout.ts';
import { quantTypes, tensorTypes } from './quant-types.ts';

describe('planes of quantised weights', () => {
  it('cover every tensor type', () => {
    expect(Object.keys(quantLayouts).sort()).toEqual([...tensorTypes].sort());
  });

  it.each(tensorTypes)('hold the bytes of a block of %s and hardly more', (type) => {
    const { blockBytes } = quantTypes[type];
    const bytes = PLANES.reduce((sum, plane) => sum + quantLayouts[type][plane], 0);
    expect(bytes).toBeGreaterThanOrEqual(blockBytes);
    expect(bytes).toBeLessThanOrEqual(Math.max(blockBytes * 1.03, blockBytes + 4));
  });

  it.each(tensorTypes)('are written in whole words by each group of blocks of %s', (type) => {
    const { blocksPerGroup } = quantLayouts[type];
    for (const plane of PLANES) expect((quantLayouts[type][plane] * blocksPerGroup) % 4).toBe(0);
  });

  it.each(tensorTypes)('give whole blocks or chunks of %s to each other', (type) => {
    const { blockWeights } = quantTypes[type];
    expect(Math.max(blockWeights, CHUNK) % Math.min(blockWeights, CHUNK)).toBe(0);
  });

  it('round their sizes up to words', () => {
    expect(planeBytes('MXFP4', 'scales', 5)).toBe(8);
    expect(planeBytes('Q8_0', 'scales', 3)).toBe(8);
    expect(planeBytes('Q4_K', 'high', 3)).toBe(0);
  });
});

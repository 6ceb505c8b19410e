import { expect, test } from 'vitest';
import { fixture } from '../../tools/testing/fixtures.ts';
import { targetSize } from './target-size.ts';

const LIMITS = { factor: 32, minPixels: 65_536, maxPixels: 16_777_216 };
const sizes = JSON.parse(await (await fixture('vision/preprocess/target_sizes.json')).text()) as number[][];

test.each(sizes)('%i × %i becomes %i × %i', (height, width, targetHeight, targetWidth) => {
  expect(targetSize({ width, height }, LIMITS)).toEqual({ width: targetWidth, height: targetHeight });
});

test('refuses strips', () => {
  expect(() => targetSize({ width: 2001, height: 10 }, LIMITS)).toThrow(expect.objectContaining({ code: 'bad-image' }));
});

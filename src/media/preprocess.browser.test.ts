import { describe, expect, test } from 'vitest';
import { fixture } from '../../tools/testing/fixtures.ts';
import { readPng } from '../../tools/testing/png.ts';
import { decodeImage } from './decode.ts';
import { resize } from './resize.ts';
import { targetSize } from './target-size.ts';

interface Case {
  source: string;
  expected: string;
  max_pixels: number;
  height: number;
  width: number;
}
const cases = JSON.parse(await (await fixture('vision/preprocess/preprocess.json')).text()) as Case[];

describe('pictures as the reference prepares them', () => {
  test.each(cases)('$source', async ({ source, expected, max_pixels: maxPixels, width, height }) => {
    const pixels = await decodeImage(await fixture(`vision/preprocess/${source}`), source);
    const target = targetSize(pixels, { factor: 32, minPixels: 65_536, maxPixels });
    expect(target).toEqual({ width, height });
    const actual = resize(pixels, target).rgba;
    const wanted = (await readPng(await fixture(`vision/preprocess/${expected}`))).rgba;
    let [sum, worst] = [0, 0];
    for (let i = 0; i < wanted.length; i++) {
      const difference = Math.abs(actual[i] - wanted[i]);
      sum += difference;
      worst = Math.max(worst, difference);
    }
    // Bounds of the fixtures: JPEG decoders and 8-bit alpha differ by a few steps.
    expect(sum / (width * height * 3)).toBeLessThanOrEqual(1);
    expect(worst).toBeLessThanOrEqual(6);
  });
});

test('a broken image gives a typed error', async () => {
  const whole = await fixture('vision/preprocess/odd.png');
  for (const broken of [new Blob(['no picture']), new Blob([]), whole.slice(0, 40)]) {
    await expect(decodeImage(broken, 'broken.png')).rejects.toMatchObject({ code: 'bad-image', file: 'broken.png' });
  }
});

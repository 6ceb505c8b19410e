import { afterEach, describe, expect, test } from 'vitest';
import { makeWebm, recordWebm } from '../../tools/testing/webm.ts';
import { readBitmap } from './decode.ts';
import { PageVideos } from './video-element.ts';

const COLOURS = ['red', 'lime', 'blue', 'yellow', 'white', 'black', 'cyan', 'magenta'];
const RGB: Record<string, number[]> = {
  red: [255, 0, 0],
  lime: [0, 255, 0],
  blue: [0, 0, 255],
  yellow: [255, 255, 0],
  white: [255, 255, 255],
  black: [0, 0, 0],
  cyan: [0, 255, 255],
  magenta: [255, 0, 255],
};
const clip = { width: 160, height: 96, colours: COLOURS, fps: 5 };

const videos: PageVideos[] = [];
afterEach(() => {
  for (const open of videos.splice(0)) open.close();
});
function pageVideos(...[known = new Map(), onBytes, signal]: Partial<ConstructorParameters<typeof PageVideos>>) {
  videos.push(new PageVideos(known, onBytes, signal));
  return videos.at(-1)!;
}

/** The named colour that the middle of the frame is nearest to. */
async function colourAt(page: PageVideos, hash: string, seconds: number): Promise<string> {
  const bitmap = await page.frame(hash, seconds);
  const { width, height, rgba } = readBitmap(bitmap, 'frame');
  bitmap.close();
  expect([width, height]).toEqual([clip.width, clip.height]);
  const at = ((height >> 1) * width + (width >> 1)) * 4;
  const distance = (name: string) => RGB[name].reduce((sum, v, i) => sum + Math.abs(v - rgba[at + i]), 0);
  const nearest = COLOURS.toSorted((a, b) => distance(a) - distance(b))[0];
  expect(distance(nearest)).toBeLessThan(30); // VP8 keeps colours with less than the full range
  return nearest;
}

describe('PageVideos', () => {
  test('measures a video, and finds each of its frames in any order', async () => {
    const page = pageVideos();
    const facts = await page.open(await makeWebm(clip), 'url');
    expect(facts).toMatchObject({ width: 160, height: 96, hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(facts.seconds).toBeCloseTo(1.6, 3);
    expect(facts.frameSeconds).toBeCloseTo(0.2, 3);
    for (const i of [0, 1, 2, 3, 4, 5, 6, 7, 7, 3, 5, 0]) {
      expect(await colourAt(page, facts.hash, i * facts.frameSeconds), `frame ${i}`).toBe(COLOURS[i]);
    }
  });

  test('measures a recording of a page, whatever its header says', async () => {
    const page = pageVideos();
    const facts = await page.open(await recordWebm({ ...clip, colours: ['red', 'blue'], fps: 2 }), 'url');
    expect(facts.seconds).toBeGreaterThan(0.3);
    expect(facts.seconds).toBeLessThan(2);
    expect(await colourAt(page, facts.hash, 0)).toBe('red');
  });

  test('goes from one video to another and back', async () => {
    const page = pageVideos();
    const first = await page.open(await makeWebm({ ...clip, colours: ['red', 'lime'] }), 'url');
    const second = await page.open(await makeWebm({ ...clip, colours: ['blue', 'cyan'] }), 'url');
    expect(await colourAt(page, first.hash, 0.2)).toBe('lime');
    expect(await colourAt(page, second.hash, 0)).toBe('blue');
    expect(await colourAt(page, first.hash, 0)).toBe('red');
  });

  test('knows a video again by its content, from an address as from a file', async () => {
    const known = new Map();
    const file = await makeWebm(clip);
    const facts = await pageVideos(known).open(file, 'url');
    const url = URL.createObjectURL(file);
    const reports: number[][] = [];
    const page = pageVideos(known, (...bytes) => reports.push(bytes));
    expect(await page.open(url, 'url')).toBe(facts);
    expect(reports.at(-1)).toEqual([file.size, file.size]);
    URL.revokeObjectURL(url);
    expect(await colourAt(page, facts.hash, 0)).toBe('red');
    await expect(page.open(url, 'url')).rejects.toMatchObject({ code: 'not-found' });
  });

  test.each([
    ['no video', () => new File(['no video'], 'talk.mp4', { type: 'video/mp4' })],
    ['an empty file', () => new Blob([])],
    ['a torn file', async () => (await makeWebm(clip)).slice(0, 100)],
  ])('refuses %s', async (_, make) => {
    await expect(pageVideos().open(await make(), 'url')).rejects.toMatchObject({
      code: 'bad-video',
      message: expect.stringContaining('cannot be decoded'),
    });
  });

  test('ends with its signal, and when it is closed', async () => {
    const file = await makeWebm(clip);
    await expect(pageVideos(undefined, undefined, AbortSignal.abort('enough')).open(file, 'url')).rejects.toBe(
      'enough',
    );
    const page = pageVideos();
    const { hash } = await page.open(file, 'url');
    const frame = page.frame(hash, 0);
    page.close();
    await expect(frame).rejects.toMatchObject({ name: 'AbortError' });
  });
});

import { describe, expect, test } from 'vitest';
import { planVideo } from './video-plan.ts';

const LIMITS = { factor: 32, minPixels: 65_536, maxPixels: 16_777_216 };
const facts = (frames: number, rate: number, width: number, height: number) => ({
  width,
  height,
  seconds: frames / rate,
  frameSeconds: 1 / rate,
  hash: 'abc',
});

describe('planVideo', () => {
  // By a program after the published processor, run apart from this code; its rounding is Python's.
  test.each([
    [300, 30, {}, [640, 480], 20, [0, 16, 31, 47, 63, 79], ['0.3', '1.3', '2.4', '3.4', '4.5', '5.5'], '9.7'],
    [8, 5, {}, [160, 96], 4, [0, 2, 5, 7], ['0.2', '1.2'], '1.2'],
    [3, 2, {}, [64, 64], 3, [0, 1, 2, 2], ['0.2', '1.0'], '1.0'],
    [20, 2, {}, [320, 256], 20, [0, 1, 2, 3], ['0.2', '1.2', '2.2', '3.2'], '9.2'],
    [300, 30, { fps: 0.5 }, [640, 480], 5, [0, 75, 150, 224, 299, 299], ['1.2', '6.2', '10.0'], '10.0'],
    [300, 30, { maxFrames: 7 }, [640, 480], 7, [0, 50, 100, 150], ['0.8', '4.2', '7.5', '10.0'], '10.0'],
    [2, 1, {}, [64, 64], 2, [0, 1], ['0.5'], '0.5'],
    [1, 30, {}, [64, 64], 1, [0, 0], ['0.0'], '0.0'],
  ] as const)('%i frames at %i a second, %o', (frames, rate, options, [width, height], count, first, stamps, last) => {
    const plan = planVideo(facts(frames, rate, width, height), options, LIMITS);
    expect(plan.frames).toBe(count);
    expect(plan.pairs).toHaveLength(Math.ceil(count / 2));
    const times = plan.pairs.flatMap((pair) => [pair.first, pair.second]);
    expect(times.slice(0, first.length)).toEqual(first.map((index) => index / rate));
    expect(plan.pairs.slice(0, stamps.length).map(({ stamp }) => stamp)).toEqual(stamps.map((s) => `<${s} seconds>`));
    expect(plan.pairs.at(-1)!.stamp).toBe(`<${last} seconds>`);
  });

  test.each([
    [300, 30, [640, 480], [640, 480]],
    [20, 2, [320, 240], [320, 256]], // to the even multiple
    [45, 25, [1920, 1080], [1152, 640]], // bound of a frame
    [108_000, 30, [1280, 720], [224, 128]], // bound of all frames
    [5, 10, [33, 21], [64, 32]], // a side below a token's
    [2, 1, [32, 32], [64, 64]], // below the fewest pixels
    [1000, 24, [4000, 40], [4000, 32]],
  ] as const)('%i frames at %i a second of %o are read at %o', (frames, rate, [width, height], target) => {
    const fps = frames === 1000 ? 4 : undefined;
    const { size } = planVideo(facts(frames, rate, width, height), { fps }, LIMITS);
    expect([size.width, size.height]).toEqual(target);
  });

  test('takes the rate that a file means by its rounded times', () => {
    const rounded = { ...facts(300, 30, 64, 64), frameSeconds: 0.033333, seconds: 10.001 };
    expect(planVideo(rounded, {}, LIMITS).pairs).toEqual(planVideo(facts(300, 30, 64, 64), {}, LIMITS).pairs);
    const film = { ...facts(0, 1, 64, 64), seconds: 10, frameSeconds: 1.001 / 30 };
    expect(planVideo(film, {}, LIMITS).pairs.at(-1)!.second).toBeCloseTo((299 * 1.001) / 30, 9);
  });

  test('stays within what the device takes of one picture', () => {
    const { size } = planVideo(facts(4, 2, 1920, 1080), {}, { ...LIMITS, maxPixels: 100_000 });
    expect(size.width * size.height).toBeLessThanOrEqual(100_000);
  });

  test('refuses strips', () => {
    const strip = facts(4, 2, 6600, 32);
    expect(() => planVideo(strip, {}, LIMITS)).toThrow(expect.objectContaining({ code: 'bad-video' }));
  });
});

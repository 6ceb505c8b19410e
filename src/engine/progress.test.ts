import { expect, test } from 'vitest';
import { ProgressMeter } from './progress.ts';
import type { LoadProgress } from './types.ts';

test('reports bytes, a smoothed rate and the time left, some ten times a second', () => {
  let now = 0;
  const reports: LoadProgress[] = [];
  const meter = new ProgressMeter(
    { networkBytes: 7, storeBytes: 5 },
    (p) => reports.push(p),
    () => now,
  );
  for (let i = 0; i <= 100; i++) {
    meter.report('weights', i * 1000, 100_000, 'a.gguf');
    now += 10;
  }
  // A second of work: one report per 100 ms, and the last.
  expect(reports.length).toBeGreaterThanOrEqual(10);
  expect(reports.length).toBeLessThanOrEqual(12);
  const middle = reports[5];
  expect(middle).toMatchObject({
    phase: 'weights',
    totalBytes: 100_000,
    networkBytes: 7,
    storeBytes: 5,
    file: 'a.gguf',
  });
  expect(middle.bytesPerSecond).toBeCloseTo(100_000, -3);
  expect(middle.secondsLeft).toBeCloseTo((100_000 - middle.loadedBytes) / middle.bytesPerSecond, 6);
  expect(reports.at(-1)?.loadedBytes).toBe(100_000);
});

test('says at once that a new phase began, with the last figures', () => {
  const reports: LoadProgress[] = [];
  const meter = new ProgressMeter(
    { networkBytes: 0, storeBytes: 0 },
    (p) => reports.push(p),
    () => 0,
  );
  meter.report('header', 0, 0, 'a.gguf');
  meter.report('weights', 10, 20, 'a.gguf');
  meter.report('compile');
  expect(reports.map(({ phase, loadedBytes }) => [phase, loadedBytes])).toEqual([
    ['header', 0],
    ['weights', 10],
    ['compile', 10],
  ]);
  expect(reports[0].secondsLeft).toBeUndefined();
});

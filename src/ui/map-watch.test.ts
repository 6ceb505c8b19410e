import { expect, test } from 'vitest';
import { NO_FIGURES } from '../engine/no-figures.ts';
import type { EngineStats } from '../engine/types.ts';
import { expertsToCome, LOOK_EVERY_MS, MapWatch } from './map-watch.ts';

function figures(experts: readonly number[], rest: Partial<EngineStats> = {}): EngineStats {
  return { ...NO_FIGURES, expertSlots: experts.length, experts: Uint8Array.from(experts), ...rest };
}

test('counts a use when a pass has run since the last look, and not because time went by', () => {
  const watch = new MapWatch();
  watch.see(figures([3, 2, 0], { expertHits: 1 }), 0);
  watch.see(figures([3, 2, 0], { expertHits: 1 }), 250);
  expect([0, 1, 2].map((i) => watch.uses(i))).toEqual([1, 0, 0]);
  watch.see(figures([3, 3, 0], { expertHits: 1, expertMisses: 2 }), 500);
  expect([0, 1, 2].map((i) => watch.uses(i))).toEqual([2, 1, 0]);
});

test('takes the rate of the network over the last seconds', () => {
  const watch = new MapWatch();
  expect(watch.bytesPerSecond).toBe(0);
  for (let at = 0; at <= 20_000; at += 1000) {
    const bytesFromNetwork = at <= 10_000 ? 0 : (at - 10_000) * 2;
    watch.see(figures([0], { bytesFromNetwork }), at);
  }
  expect(watch.bytesPerSecond).toBe(2000);
});

test('looks often while there is news or an answer, seldom while bytes are awaited, then no more', () => {
  const watch = new MapWatch();
  watch.see(figures([0, 2]), 0);
  expect(watch.next(1000, false)).toBe(LOOK_EVERY_MS);
  expect(watch.next(10_000, false)).toBeGreaterThan(LOOK_EVERY_MS);
  expect(watch.next(10_000, true)).toBe(LOOK_EVERY_MS);
  expect(watch.arriving(10_000)).toBe(true);
  expect(watch.next(70_000, false)).toBeUndefined();
  expect(watch.arriving(70_000)).toBe(false);
  watch.see(figures([1, 2], { bytesFromNetwork: 5, expertSlots: 1 }), 70_000);
  expect(watch.arriving(70_000)).toBe(false);
  expect(watch.next(71_000, false)).toBe(LOOK_EVERY_MS);
  expect(watch.next(73_000, false)).toBeUndefined();
});

test('experts are to come while some are on the server alone, or slots are free', () => {
  expect(expertsToCome(figures([0, 0, 1, 2], { expertSlots: 1 }))).toBe(2);
  expect(expertsToCome(figures([1, 1, 2, 3], { expertSlots: 3 }))).toBe(1);
  expect(expertsToCome(figures([1, 1, 2, 3], { expertSlots: 2 }))).toBe(0);
  expect(expertsToCome(figures([], { experts: undefined }))).toBe(0);
});

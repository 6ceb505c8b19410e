import { expect, test } from 'vitest';
import { formatBytes, formatClock, formatClockTime, formatDuration, formatRate } from './format.ts';

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1 KB'],
  [1_924_704, '1.9 MB'],
  [99_960_000, '100 MB'],
  [999_600_000, '1 GB'],
  [24_000_000_000, '24 GB'],
  [220e9, '220 GB'],
  [5e15, '5,000 TB'],
])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [0, '0 s'],
  [640, '0.6 s'],
  [9_960, '10 s'],
  [59_400, '59 s'],
  [59_900, '1 min'],
  [185_000, '3 min 5 s'],
  [700_000, '12 min'],
  [3_599_000, '1 h'],
  [7_800_000, '2 h 10 min'],
])('%d ms are %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

test.each([
  [0.4, '0:00'],
  [12, '0:12'],
  [59.6, '1:00'],
  [185, '3:05'],
  [3_723, '1:02:03'],
])('%d seconds of video are %s', (seconds, text) => expect(formatClockTime(seconds)).toBe(text));

test('a ticking clock shows no decimals', () => expect(formatClock(1_600)).toBe('2 s'));

test.each([
  [21.44, '21.4 tok/s'],
  [120.4, '120 tok/s'],
  [0, '–'],
  [Number.NaN, '–'],
])('%d tokens a second are %s', (rate, text) => expect(formatRate(rate)).toBe(text));

import { describe, expect, it } from 'vitest';
import { calculate, tools } from './tools.ts';

describe('calculate', () => {
  it.each([
    ['1 + 2 * 3', 7],
    ['(1 + 2) * 3', 9],
    ['2 ^ 3 ^ 2', 512],
    ['-2^2', -4],
    ['2**-1', 0.5],
    ['10 / 4 - .5', 2],
    ['10 % 4 * 2', 4],
    ['3 × 4 ÷ 2', 6],
    ['1.5e3 - -1', 1501],
    ['8 - 3 - 2', 3],
  ])('finds %s = %d', (expression, value) => {
    expect(calculate(expression)).toBe(value);
  });

  it.each(['', '1 +', '(1', '1 2', 'alert(1)', 'x', '1 / 0', '1..2', ')'])('refuses %j', (expression) => {
    expect(() => calculate(expression)).toThrow(Error);
  });
});

it('tells the time anywhere, and refuses where there is none', () => {
  const now = tools.find(({ name }) => name === 'now')!;
  const options = { signal: new AbortController().signal };
  expect(now.run({ time_zone: 'Europe/Paris' }, options)).toContain('(Europe/Paris)');
  expect(now.run({}, options)).toContain(String(new Date().getFullYear()));
  expect(() => now.run({ time_zone: 'Nowhere' }, options)).toThrow(RangeError);
});

import { expect, test } from 'vitest';
import { DraftPace } from './draft-pace.ts';

/** @param isRight of the n-th draft @returns drafts made for so many tokens, and how many were right */
function run(tokens: number, isRight: (n: number) => boolean, most = 1, pace = new DraftPace(most)) {
  let [drafted, accepted, passes] = [0, 0, 0];
  for (let n = 0; n < tokens; passes++) {
    const { drafts } = pace;
    let right = 0;
    while (right < drafts && isRight(drafted + right)) right++;
    pace.passed(drafts, right);
    drafted += drafts;
    accepted += right;
    n += 1 + right;
  }
  return { drafted, accepted, passes };
}

test('drafts always where most drafts are right', () => {
  const { drafted, accepted, passes } = run(1000, (n) => n % 10 !== 0);
  expect(drafted).toBe(passes);
  expect(accepted / drafted).toBeCloseTo(0.9, 1);
});

test('drafts seldom where none are right, and ever more seldom', () => {
  const { drafted } = run(1000, () => false);
  expect(drafted).toBeLessThanOrEqual(96);
  expect(run(10_000, () => false).drafted).toBeLessThan(10_000 / 25);
});

test('goes on after a bad time', () => {
  const pace = new DraftPace(1);
  run(200, () => false, 1, pace);
  const { drafted, passes } = run(1000, () => true, 1, pace);
  expect(passes - drafted).toBeLessThanOrEqual(256);
  expect(drafted).toBeGreaterThan(300);
});

test.each([2, 3])('judges %i drafts at a time by the share of all that is right', (most) => {
  const { drafted, passes } = run(600, (n) => n % 6 !== 5, most);
  expect(drafted).toBe(most * passes);
  expect(run(600, (n) => n % most === 0 && n % (4 * most) === 0, most).drafted).toBeLessThan(200);
});

test('never drafts where it may not', () => {
  expect(run(100, () => true, 0)).toEqual({ drafted: 0, accepted: 0, passes: 100 });
});

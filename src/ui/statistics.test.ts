import { expect, test } from 'vitest';
import { draftFigure } from './statistics.ts';

const figures = {
  decodeTokensPerSecond: 20,
  prefillTokensPerSecond: 400,
  timeToFirstTokenMs: 600,
  promptTokens: 12,
  reusedTokens: 8,
  completionTokens: 90,
  draftedTokens: 0,
  acceptedTokens: 0,
  mediaTokens: 0,
  mediaRead: 0,
  mediaRemembered: 0,
};

test.each([
  [{}, []],
  [{ draftedTokens: 50, acceptedTokens: 40 }, '80 % of 50 right, 1.8 tokens a pass'],
  [{ draftedTokens: 16, acceptedTokens: 0 }, '0 % of 16 right, 1.0 tokens a pass'],
  [{ draftedTokens: 3, acceptedTokens: 3, completionTokens: 3 }, '100 % of 3 right, 3.0 tokens a pass'],
])('drafts of %o are told as %s', (drafts, expected) => {
  expect(
    draftFigure({ ...figures, ...drafts })
      .flat()
      .slice(1),
  ).toEqual([expected].flat());
});

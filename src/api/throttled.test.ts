import { expect, test } from 'vitest';
import { throttled } from './throttled.ts';
import type { MediaProgress } from './types.ts';

test('passes on a phase’s first and last report, and ten a second between them', () => {
  let now = 0;
  const heard: string[] = [];
  const report = throttled(
    ({ phase, loaded }: MediaProgress) => heard.push(`${phase} ${loaded}`),
    () => now,
  );
  for (let loaded = 1; loaded <= 20; loaded++) {
    report({ phase: 'tower', loaded, total: 20 });
    now += 10;
  }
  report({ phase: 'vision', loaded: 1, total: 2 });
  report({ phase: 'vision', loaded: 2, total: 2 });
  expect(heard).toEqual(['tower 1', 'tower 11', 'tower 20', 'vision 1', 'vision 2']);
});

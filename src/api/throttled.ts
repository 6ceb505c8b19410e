import type { MediaProgress } from './types.ts';

/** Reports at most so often, so that a page is not flooded. */
const INTERVAL_MS = 100;

/** Passes on the first and last report of each phase, and of the others no more than a page can use. */
export function throttled(
  report: (progress: MediaProgress) => void,
  now: () => number = () => performance.now(),
): (progress: MediaProgress) => void {
  let last: { phase: MediaProgress['phase']; at: number } | undefined;
  return (progress) => {
    const { phase, loaded, total } = progress;
    const soon = last?.phase === phase && now() - last.at < INTERVAL_MS;
    if (soon && loaded !== total) return;
    last = { phase, at: now() };
    report(progress);
  };
}

import type { Weights } from '../weights/types.ts';
import type { LoadProgress } from './types.ts';

/** Reports at most so often, so that a page is not flooded. */
const INTERVAL_MS = 100;
/** Time constant of the smoothed rate. */
const SMOOTHING_MS = 2000;

/** Turns bytes into progress reports with a rate and an estimate. */
export class ProgressMeter {
  #lastAt = 0;
  #lastBytes = 0;
  #bytesPerSecond = 0;
  #last: Pick<LoadProgress, 'loadedBytes' | 'totalBytes' | 'file'> = { loadedBytes: 0, totalBytes: 0, file: '' };
  #phase: LoadProgress['phase'] | undefined;

  constructor(
    private readonly weights: Pick<Weights, 'networkBytes' | 'storeBytes'>,
    private readonly onProgress: ((progress: LoadProgress) => void) | undefined,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Without figures: a new phase, with the figures of the last report. */
  report(
    phase: LoadProgress['phase'],
    loadedBytes = this.#last.loadedBytes,
    totalBytes = this.#last.totalBytes,
    file = this.#last.file,
  ): void {
    this.#last = { loadedBytes, totalBytes, file };
    const now = this.now();
    const elapsed = now - this.#lastAt;
    const finished = loadedBytes === totalBytes;
    if (phase === this.#phase && !finished && elapsed < INTERVAL_MS) return;
    if (this.#phase === phase && elapsed > 0) {
      const rate = ((loadedBytes - this.#lastBytes) / elapsed) * 1000;
      const weight = this.#bytesPerSecond === 0 ? 1 : 1 - Math.exp(-elapsed / SMOOTHING_MS);
      this.#bytesPerSecond += weight * (rate - this.#bytesPerSecond);
    }
    this.#phase = phase;
    this.#lastAt = now;
    this.#lastBytes = loadedBytes;
    this.onProgress?.({
      phase,
      loadedBytes,
      totalBytes,
      networkBytes: this.weights.networkBytes,
      storeBytes: this.weights.storeBytes,
      bytesPerSecond: this.#bytesPerSecond,
      secondsLeft: this.#bytesPerSecond > 0 ? (totalBytes - loadedBytes) / this.#bytesPerSecond : undefined,
      file,
    });
  }
}

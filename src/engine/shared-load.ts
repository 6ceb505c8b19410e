import { abortable, throwIfAborted } from '../errors.ts';

export type OnLoaded = (loadedBytes: number, totalBytes: number) => void;

interface Loading<T> {
  readonly promise: Promise<T>;
  readonly stop: AbortController;
  readonly waiting: Set<OnLoaded>;
  settled: boolean;
}

/**
 * Something that is loaded when it is first wanted, once for all who want it. Whoever gives up leaves; the load ends when
 * nobody waits for it any more, and is begun again by the next one, as after a failure.
 */
export class SharedLoad<T extends object> {
  #current: Loading<T> | undefined;
  #value: T | undefined;

  constructor(private readonly load: (signal: AbortSignal, onLoaded: OnLoaded) => Promise<T>) {}

  /** If it is there. */
  get value(): T | undefined {
    return this.#value;
  }

  /** @throws what the load throws; the signal's reason on abort */
  async get(signal?: AbortSignal, onLoaded: OnLoaded = () => {}): Promise<T> {
    for (;;) {
      throwIfAborted(signal);
      this.#current ??= this.#begin();
      const loading = this.#current;
      // Those who came before have just left: what they stopped has to end first.
      if (loading.stop.signal.aborted) {
        const value = await abortable(
          loading.promise.catch(() => undefined),
          signal,
        );
        if (value) return value;
        continue;
      }
      const report: OnLoaded = (...bytes) => onLoaded(...bytes);
      loading.waiting.add(report);
      try {
        return await abortable(loading.promise, signal);
      } finally {
        loading.waiting.delete(report);
        if (!loading.settled && loading.waiting.size === 0) loading.stop.abort(signal?.reason);
      }
    }
  }

  /** Forgets the value, or stops the load. @param discard gets the value, if there is one or will be one after all */
  drop(discard: (value: T) => void): void {
    const current = this.#current;
    this.#current = undefined;
    this.#value = undefined;
    if (!current) return;
    current.stop.abort();
    current.promise.then(discard, () => {}); // the failure was told to those who waited
  }

  #begin(): Loading<T> {
    const stop = new AbortController();
    const waiting = new Set<OnLoaded>();
    const promise = this.load(stop.signal, (...bytes) => {
      for (const report of waiting) report(...bytes);
    });
    const loading: Loading<T> = { promise, stop, waiting, settled: false };
    promise.then(
      (value) => {
        loading.settled = true;
        if (this.#current === loading) this.#value = value;
      },
      () => {
        loading.settled = true;
        if (this.#current === loading) this.#current = undefined;
      },
    );
    return loading;
  }
}

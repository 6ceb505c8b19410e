/** One at a time, in the order of asking. */
import { throwIfAborted } from '../errors.ts';

export class Queue {
  #tail: Promise<unknown> = Promise.resolve();

  /**
   * Waits for its turn, then runs `task`; the next one waits until it has settled. An abort while waiting gives the
   * place up at once, and the task never runs.
   */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    throwIfAborted(signal);
    const before = this.#tail;
    let leave = () => {};
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    this.#tail = before.then(() => left);
    try {
      await abortable(before, signal);
      return await task();
    } finally {
      leave();
    }
  }
}

/** `promise`, or a rejection with the signal's reason, whichever comes first. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** One at a time, in the order of asking. */
import { abortable, throwIfAborted } from '../errors.ts';

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

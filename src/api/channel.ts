/** Values from a callback to a `for await` loop. */

export class Channel<T> implements AsyncIterableIterator<T> {
  readonly #values: T[] = [];
  readonly #waiting: { resolve: (result: IteratorResult<T>) => void; reject: (error: unknown) => void }[] = [];
  readonly #onCancel: () => void;
  #end?: { error?: unknown };
  #opened = () => {};
  #failed = (_error: unknown) => {};

  /** Settles with the first value, or with the end or the error that came in its place. */
  readonly opened: Promise<void>;

  /** @param onCancel the consumer left the loop, or will not come back to it */
  constructor(onCancel: () => void) {
    this.#onCancel = onCancel;
    this.opened = new Promise((resolve, reject) => {
      this.#opened = resolve;
      this.#failed = reject;
    });
    this.opened.catch(() => {}); // whoever waits for it gets the error; nobody has to wait
  }

  push(value: T): void {
    if (this.#end) return;
    const reader = this.#waiting.shift();
    if (reader) reader.resolve({ value, done: false });
    else this.#values.push(value);
    this.#opened();
  }

  /** No more values; those not read yet are still handed out. */
  close(): void {
    this.#finish({});
    this.#opened();
  }

  /** The loop throws `error` after the values that are already there. */
  fail(error: unknown): void {
    this.#finish({ error });
    this.#failed(error);
  }

  next(): Promise<IteratorResult<T>> {
    const value = this.#values.shift();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    if (!this.#end) return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    const { error } = this.#end;
    this.#end = {}; // an error is told once
    return error === undefined ? Promise.resolve({ value: undefined, done: true }) : Promise.reject(error);
  }

  async return(): Promise<IteratorResult<T>> {
    const open = this.#end === undefined;
    this.#values.length = 0;
    this.#finish({});
    this.#end = {};
    if (open) this.#onCancel();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #finish(end: { error?: unknown }): void {
    if (this.#end) return;
    this.#end = end;
    for (const reader of this.#waiting.splice(0)) {
      if (end.error === undefined) reader.resolve({ value: undefined, done: true });
      else reader.reject(end.error);
    }
  }
}

/** Results of `read` for each item, in order, with some reads begun ahead of the one that is awaited. */
export interface ReadAhead<Item, Result> {
  /** The next item's result. @throws the signal's reason on abort, without ending the reads */
  next(signal?: AbortSignal): Promise<{ item: Item; result: Result }>;
}

export function readAhead<Item, Result>(
  items: readonly Item[],
  read: (item: Item) => Promise<Result>,
  inFlight: number,
): ReadAhead<Item, Result> {
  const waiting = [...items];
  const reading: { item: Item; result: Promise<Result> }[] = [];
  const begin = () => {
    while (reading.length < inFlight && waiting.length > 0) {
      const item = waiting.shift()!;
      const result = read(item);
      result.catch(() => {}); // reported where it is awaited
      reading.push({ item, result });
    }
  };
  begin();
  return {
    async next(signal) {
      const first = reading.shift();
      if (!first) throw new RangeError('All items were read.');
      const result = await untilAborted(first.result, signal);
      begin();
      return { item: first.item, result };
    },
  };
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

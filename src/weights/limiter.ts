import type { ReadPriority } from './types.ts';

/** The lower, the sooner. */
export const rank = { urgent: 0, prefetch: 1, background: 2 } as const satisfies Record<ReadPriority, number>;

export interface TaskOptions {
  /** Asked whenever a place becomes free: a waiting task may become more urgent. Default: background. */
  priority?: () => ReadPriority;
  signal?: AbortSignal;
}

interface Waiting {
  priority(): ReadPriority;
  start(): void;
}

/** Runs at most so many tasks at once; the others wait, the most urgent first, and those alike in order. */
export class Limiter {
  private readonly running = new Set<Waiting>();
  private readonly waiting: Waiting[] = [];
  private pumping = false;
  private watchers: (() => void)[] = [];

  /** @param urgentLimit tasks that may run at once when the last to come is urgent. Default: as the others */
  constructor(
    private readonly limit: number,
    private readonly urgentLimit = limit,
  ) {}

  /** @throws the signal's reason if it is aborted before the task's turn comes */
  async run<T>(
    task: () => Promise<T>,
    { priority = () => 'background' as const, signal }: TaskOptions = {},
  ): Promise<T> {
    signal?.throwIfAborted();
    let entry!: Waiting;
    await new Promise<void>((start, reject) => {
      const onAbort = () => {
        const at = this.waiting.indexOf(entry);
        if (at < 0) return;
        this.waiting.splice(at, 1);
        reject(signal?.reason);
      };
      entry = {
        priority,
        start: () => {
          signal?.removeEventListener('abort', onAbort);
          start();
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.waiting.push(entry);
      this.pump();
    });
    try {
      signal?.throwIfAborted();
      return await task();
    } finally {
      this.running.delete(entry);
      this.changed();
    }
  }

  /**
   * Resolves when nothing more urgent than this runs: for long tasks, to give way in between. Not for what waits: it may be
   * this task's place that it waits for.
   * @throws the signal's reason on abort
   */
  async giveWay(priority: () => ReadPriority, signal?: AbortSignal): Promise<void> {
    while (this.anyMoreUrgent(rank[priority()])) {
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => reject(signal?.reason);
        if (signal?.aborted) onAbort();
        signal?.addEventListener('abort', onAbort, { once: true });
        this.watchers.push(() => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        });
      });
    }
  }

  /** To be called when a task's priority has become another. */
  changed(): void {
    for (const tell of this.watchers.splice(0)) tell();
    this.pump();
  }

  private anyMoreUrgent(than: number): boolean {
    return than > 0 && [...this.running].some(({ priority }) => rank[priority()] < than);
  }

  /** Starts tasks once the present turn is over, so that what is asked for together can be looked at together. */
  private pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    queueMicrotask(() => {
      this.pumping = false;
      while (this.waiting.length > 0) {
        const ranks: readonly number[] = this.waiting.map(({ priority }) => rank[priority()]);
        const first = ranks.reduce((best, value, i) => (value < ranks[best] ? i : best), 0);
        if (this.running.size >= (ranks[first] === rank.urgent ? this.urgentLimit : this.limit)) return;
        const [entry] = this.waiting.splice(first, 1);
        this.running.add(entry);
        entry.start();
      }
    });
  }
}

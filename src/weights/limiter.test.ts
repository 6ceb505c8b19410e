import { expect, test } from 'vitest';
import { Limiter } from './limiter.ts';
import type { ReadPriority } from './types.ts';

/** A task that ends when told. */
function task() {
  let finish!: () => void;
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  return { run: (_?: unknown) => done, finish };
}

const turn = () => new Promise((resolve) => setTimeout(resolve));

test('tasks start by priority, and in order among equals', async () => {
  const limiter = new Limiter(1);
  const order: string[] = [];
  const add = (name: string, priority: ReadPriority) =>
    limiter.run(async () => void order.push(name), { priority: () => priority });
  await Promise.all([
    add('background 1', 'background'),
    add('prefetch', 'prefetch'),
    add('background 2', 'background'),
    add('urgent 1', 'urgent'),
    add('urgent 2', 'urgent'),
  ]);
  expect(order).toEqual(['urgent 1', 'urgent 2', 'prefetch', 'background 1', 'background 2']);
});

test('a waiting task can become urgent', async () => {
  const limiter = new Limiter(1);
  const first = task();
  const order: string[] = [];
  let priority: ReadPriority = 'background';
  const all = [
    limiter.run(first.run),
    limiter.run(async () => void order.push('early'), { priority: () => 'background' }),
    limiter.run(async () => void order.push('raised'), { priority: () => priority }),
  ];
  await turn();
  priority = 'urgent';
  limiter.changed();
  first.finish();
  await Promise.all(all);
  expect(order).toEqual(['raised', 'early']);
});

test('urgent tasks have places of their own', async () => {
  const limiter = new Limiter(2, 3);
  const running = [task(), task(), task(), task()];
  const started: number[] = [];
  const start = (i: number, priority: ReadPriority) =>
    limiter.run(() => running[i].run(started.push(i)), { priority: () => priority });
  const all = [0, 1, 2].map((i) => start(i, 'background'));
  await turn();
  expect(started).toEqual([0, 1]);
  all.push(start(3, 'urgent'));
  await turn();
  expect(started).toEqual([0, 1, 3]);
  for (const { finish } of running) finish();
  await Promise.all(all);
});

/** A background task that gives way after its first part. */
const pausing = (limiter: Limiter, first: ReturnType<typeof task>, rest: () => void) =>
  limiter.run(async () => {
    await first.run();
    await limiter.giveWay(() => 'background');
    rest();
  });

test('a long task gives way while something more urgent is under way', async () => {
  const limiter = new Limiter(2);
  const long = task();
  const urgent = task();
  const events: string[] = [];
  const background = pausing(limiter, long, () => events.push('background goes on'));
  const jump = limiter.run(urgent.run, { priority: () => 'urgent' }).then(() => events.push('urgent done'));
  long.finish();
  await turn();
  expect(events).toEqual([]);
  urgent.finish();
  await Promise.all([background, jump]);
  expect(events.sort()).toEqual(['background goes on', 'urgent done']);
});

test('a long task does not give way to one that waits for its place', async () => {
  const limiter = new Limiter(1, 2);
  const long = task();
  const order: string[] = [];
  const background = pausing(limiter, long, () => order.push('background'));
  await turn();
  const waiting = limiter.run(async () => void order.push('prefetch'), { priority: () => 'prefetch' });
  long.finish();
  await Promise.all([background, waiting]);
  expect(order).toEqual(['background', 'prefetch']);
});

test('an abort ends waiting for a turn, and for the way to clear', async () => {
  const limiter = new Limiter(1);
  const first = task();
  const running = limiter.run(first.run, { priority: () => 'urgent' });
  const abort = new AbortController();
  await turn();
  const waiting = limiter.run(async () => {}, { signal: abort.signal });
  const giving = limiter.giveWay(() => 'background', abort.signal);
  abort.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await expect(giving).rejects.toThrow('enough');
  first.finish();
  await running;
  await expect(limiter.run(async () => {}, { signal: abort.signal })).rejects.toThrow('enough');
});

import { describe, expect, it } from 'vitest';
import { Channel } from './channel.ts';
import { Queue } from './queue.ts';

describe('Queue', () => {
  it('runs one task at a time, in order, also after a failure', async () => {
    const queue = new Queue();
    const log: string[] = [];
    const task =
      (name: string, fails = false) =>
      async () => {
        log.push(`${name} begins`);
        await Promise.resolve();
        log.push(`${name} ends`);
        if (fails) throw new Error(name);
        return name;
      };
    const results = await Promise.allSettled([queue.run(task('a')), queue.run(task('b', true)), queue.run(task('c'))]);
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  });

  it('lets a waiting task go at once when it is aborted, and keeps the order of the others', async () => {
    const queue = new Queue();
    let finish = () => {};
    const first = queue.run(
      () =>
        new Promise<void>((resolve) => {
          finish = resolve;
        }),
    );
    const controller = new AbortController();
    let ran = false;
    const second = queue.run(async () => {
      ran = true;
    }, controller.signal);
    const third = queue.run(async () => 'third');
    controller.abort();
    await expect(second).rejects.toMatchObject({ name: 'AbortError' });
    finish();
    await first;
    expect(await third).toBe('third');
    expect(ran).toBe(false);
    await expect(queue.run(async () => {}, controller.signal)).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('Channel', () => {
  it('hands out what was pushed, then ends', async () => {
    const channel = new Channel<number>(() => {});
    channel.push(1);
    channel.push(2);
    channel.close();
    channel.push(3);
    const seen: number[] = [];
    for await (const value of channel) seen.push(value);
    expect(seen).toEqual([1, 2]);
    expect(await channel.next()).toEqual({ value: undefined, done: true });
  });

  it('tells an error once, after the values before it', async () => {
    const channel = new Channel<number>(() => {});
    channel.push(1);
    channel.fail(new Error('late'));
    expect(await channel.next()).toEqual({ value: 1, done: false });
    await expect(channel.next()).rejects.toThrow('late');
    expect(await channel.next()).toEqual({ value: undefined, done: true });
  });

  it('tells an error to whoever waits for the opening', async () => {
    const channel = new Channel<number>(() => {});
    channel.fail(new Error('early'));
    await expect(channel.opened).rejects.toThrow('early');
  });

  it('says when the loop is left, but not when it ended by itself', async () => {
    let cancelled = 0;
    const left = new Channel<number>(() => cancelled++);
    left.push(1);
    left.push(2);
    for await (const _ of left) break;
    expect(cancelled).toBe(1);
    expect(await left.next()).toEqual({ value: undefined, done: true });
    const ended = new Channel<number>(() => cancelled++);
    ended.close();
    for await (const _ of ended) break;
    await ended.return();
    expect(cancelled).toBe(1);
  });

  it('wakes readers that wait', async () => {
    const channel = new Channel<number>(() => {});
    const reads = [channel.next(), channel.next()];
    channel.push(7);
    channel.close();
    expect(await Promise.all(reads)).toEqual([
      { value: 7, done: false },
      { value: undefined, done: true },
    ]);
  });
});

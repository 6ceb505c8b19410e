import { describe, expect, test } from 'vitest';
import { type OnLoaded, SharedLoad } from './shared-load.ts';

interface Value {
  readonly attempt: number;
}

/** A load that the test ends by hand. */
function stage() {
  const loads: { finish(): void; fail(error: unknown): void; signal: AbortSignal; onLoaded: OnLoaded }[] = [];
  const shared = new SharedLoad<Value>(
    (signal, onLoaded) =>
      new Promise((resolve, reject) => {
        const attempt = loads.length + 1;
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        loads.push({ finish: () => resolve({ attempt }), fail: reject, signal, onLoaded });
      }),
  );
  return { shared, loads };
}

describe('SharedLoad', () => {
  test('loads once for all who wait, and keeps the value', async () => {
    const { shared, loads } = stage();
    const [first, second] = [shared.get(), shared.get()];
    expect(loads).toHaveLength(1);
    loads[0].finish();
    expect(await first).toBe(await second);
    expect(await shared.get()).toBe(shared.value);
  });

  test('goes on for the others when the one that began it gives up', async () => {
    const { shared, loads } = stage();
    const controller = new AbortController();
    const first = shared.get(controller.signal);
    const second = shared.get(new AbortController().signal);
    controller.abort('enough');
    await expect(first).rejects.toBe('enough');
    expect(loads[0].signal.aborted).toBe(false);
    loads[0].finish();
    expect(await second).toEqual({ attempt: 1 });
  });

  test('ends with the last who waits, and begins anew for the next', async () => {
    const { shared, loads } = stage();
    const controllers = [new AbortController(), new AbortController()];
    const waiting = controllers.map(({ signal }) => shared.get(signal));
    for (const controller of controllers) controller.abort('enough');
    for (const promise of waiting) await expect(promise).rejects.toBe('enough');
    expect(loads[0].signal.aborted).toBe(true);
    const next = shared.get();
    await expect.poll(() => loads.length).toBe(2);
    loads[1].finish();
    expect(await next).toEqual({ attempt: 2 });
  });

  test('fails all who wait, and is tried again', async () => {
    const { shared, loads } = stage();
    const waiting = [shared.get(), shared.get()];
    loads[0].fail(new Error('broken'));
    for (const promise of waiting) await expect(promise).rejects.toThrow('broken');
    const next = shared.get();
    loads[1].finish();
    expect(await next).toEqual({ attempt: 2 });
  });

  test('tells those who wait, and no others, how far it is', async () => {
    const { shared, loads } = stage();
    const heard: [string, number, number][] = [];
    const controller = new AbortController();
    const first = shared.get(controller.signal, (...bytes) => heard.push(['first', ...bytes]));
    const second = shared.get(undefined, (...bytes) => heard.push(['second', ...bytes]));
    loads[0].onLoaded(1, 2);
    controller.abort();
    await expect(first).rejects.toThrow();
    loads[0].onLoaded(2, 2);
    loads[0].finish();
    await second;
    expect(heard).toEqual([
      ['first', 1, 2],
      ['second', 1, 2],
      ['second', 2, 2],
    ]);
  });

  test('gives away what it holds when it is dropped, or what comes after all', async () => {
    const { shared, loads } = stage();
    const discarded: Value[] = [];
    const first = shared.get();
    loads[0].finish();
    const value = await first;
    shared.drop((old) => discarded.push(old));
    await expect.poll(() => discarded).toEqual([value]);
    const second = shared.get();
    loads[1].finish();
    shared.drop((old) => discarded.push(old));
    await second;
    await expect.poll(() => discarded).toHaveLength(2);
    expect(shared.value).toBeUndefined();
  });
});

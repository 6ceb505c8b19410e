/** Residency over shelves that are only scripted: what is read when, who is displaced, who waits for whom. */
import { describe, expect, test, vi } from 'vitest';
import type { Gpu } from '../gpu/index.ts';
import type { ReadPriority } from '../weights/types.ts';
import { createPolicy } from './policy.ts';
import { type ExpertBytes, ExpertResidency, type ExpertShelf, expertPlaces } from './residency.ts';
import { ABSENT, SlotTable } from './slot-table.ts';

const gpu = { upload: () => ({ dispose: () => {} }), write: () => {} } as unknown as Gpu;

interface Scripted extends ExpertShelf {
  readonly reads: { expert: number; priority: ReadPriority; finish(error?: unknown): void }[];
  readonly slots: (number | undefined)[];
}

/** Its reads end when the test says so, or at once. */
function shelf(experts: number, slots: number, { byHand = false } = {}): Scripted {
  const table = new SlotTable(gpu, 'table', experts, slots);
  const scripted: Scripted = {
    table,
    expertBytes: 10,
    reads: [],
    slots: Array(slots).fill(undefined),
    isLocal: (expert) => expert % 2 === 0,
    read: (expert, _, priority) =>
      new Promise<ExpertBytes>((resolve, reject) => {
        const finish = (error?: unknown) => (error === undefined ? resolve([Uint8Array.of(expert)]) : reject(error));
        scripted.reads.push({ expert, priority, finish });
        if (!byHand) finish();
      }),
    write: async (slot, [bytes]) => {
      // A slot is overwritten only when the table no longer sends anyone there.
      for (let expert = 0; expert < experts; expert++) expect(table.slotOf(expert)).not.toBe(slot);
      await Promise.resolve();
      scripted.slots[slot] = bytes[0];
    },
  };
  return scripted;
}

function residency(...shelves: Scripted[]): ExpertResidency {
  return new ExpertResidency(
    shelves,
    createPolicy('lru', { layers: shelves.length, experts: shelves[0].table.experts }),
  );
}

/** The slots of each wave by expert, checked against what was written there. */
async function waves(
  all: ExpertResidency,
  shelf: Scripted,
  chosen: number[],
  layer = 0,
  token = 0,
): Promise<number[][]> {
  const found: number[][] = [];
  for await (const { slots, last } of all.waves(layer, Uint32Array.from(chosen), token)) {
    const present = chosen.filter((_, pair) => slots[pair] !== ABSENT);
    for (const [pair, slot] of slots.entries()) if (slot !== ABSENT) expect(shelf.slots[slot]).toBe(chosen[pair]);
    found.push([...new Set(present)]);
    expect(last).toBe(found.flat().length === new Set(chosen).size);
  }
  return found;
}

const readBy = (shelf: Scripted) => shelf.reads.map(({ expert }) => expert);

describe('waves', () => {
  test('bring all that is wanted at once where there are slots enough, and read only what is missing', async () => {
    const layer = shelf(8, 4);
    const all = residency(layer);
    expect(await waves(all, layer, [3, 1, 3])).toEqual([[3, 1]]);
    expect(await waves(all, layer, [1, 5], 0, 1)).toEqual([[1, 5]]);
    expect(readBy(layer)).toEqual([3, 1, 5]);
    expect(all.counts).toMatchObject({ hits: 1, misses: 3, slotBytes: 10, networkBytes: 30, storeBytes: 0 });
  });

  test('of more experts than slots read each once, those that are there first', async () => {
    const layer = shelf(9, 3);
    const all = residency(layer);
    await waves(all, layer, [4, 5]);
    const chosen = [0, 1, 2, 3, 4, 5, 6, 0, 1];
    expect(await waves(all, layer, chosen, 0, 1)).toEqual([[0, 4, 5], [1, 2, 3], [6]]);
    expect(readBy(layer)).toEqual([4, 5, 0, 1, 2, 3, 6]);
    expect(all.resident).toBe(3);
  });

  test('displace the least recently used, and never one of their own', async () => {
    const layer = shelf(8, 3);
    const all = residency(layer);
    for (const [token, chosen] of [[0, 1], [2], [0], [3]].entries()) await waves(all, layer, chosen, 0, token);
    expect([0, 1, 2, 3].map((expert) => layer.table.slotOf(expert) !== undefined)).toEqual([true, false, true, true]);
  });

  test('pass on what went wrong, and end with an abort', async () => {
    const layer = shelf(8, 3, { byHand: true });
    const all = residency(layer);
    const broken = waves(all, layer, [1]);
    layer.reads[0].finish(new Error('gone'));
    await expect(broken).rejects.toThrow('gone');
    const controller = new AbortController();
    const aborted = all.waves(0, Uint32Array.of(1), 0, controller.signal).next();
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('reading ahead', () => {
  test('places what arrives, and a step that wants it finds it', async () => {
    const [first, second] = [shelf(8, 3), shelf(8, 3)];
    const all = residency(first, second);
    all.prefetch(1, [2, 5]);
    await vi.waitFor(() => expect(second.table.resident).toBe(2));
    all.used(1, Uint32Array.of(5, 2), 0);
    expect(all.counts).toMatchObject({ predicted: 2, predictedRight: 2, hits: 2, misses: 0 });
    expect(second.reads.map(({ priority }) => priority)).toEqual(['prefetch', 'prefetch']);
  });

  test('is asked for again with haste where a step wants it before it is there', async () => {
    const layer = shelf(8, 3, { byHand: true });
    const all = residency(layer);
    all.prefetch(0, [2]);
    const waiting = waves(all, layer, [2]);
    expect(layer.reads.map(({ priority }) => priority)).toEqual(['prefetch', 'urgent']);
    for (const { finish } of layer.reads) finish();
    expect(await waiting).toEqual([[2]]);
    // Counted once: the bytes are the same.
    expect(all.counts.storeBytes).toBe(10);
  });

  test('that fails is no one’s trouble', async () => {
    const layer = shelf(8, 3, { byHand: true });
    const all = residency(layer);
    all.prefetch(0, [2]);
    layer.reads[0].finish(new Error('gone'));
    const waiting = waves(all, layer, [2]);
    await vi.waitFor(() => expect(layer.reads).toHaveLength(2));
    layer.reads[1].finish();
    expect(await waiting).toEqual([[2]]);
  });
});

describe('filling', () => {
  test('takes free slots alone, and is over when there are none', async () => {
    const layers = [shelf(8, 3), shelf(8, 3)];
    const all = residency(...layers);
    await waves(all, layers[0], [7]);
    await all.fill();
    expect(layers.map(({ slots }) => [...slots].sort())).toEqual([
      [0, 1, 7],
      [0, 1, 2],
    ]);
    expect(all.resident).toBe(6);
  });

  test('lets a step that waits go first', async () => {
    const layer = shelf(8, 8, { byHand: true });
    const all = residency(layer);
    const filled = all.fill();
    const waiting = waves(all, layer, [6]);
    for (const { priority, finish } of [...layer.reads]) if (priority === 'background') finish();
    await Promise.resolve();
    expect(layer.table.resident).toBe(0);
    layer.reads.find(({ priority }) => priority === 'urgent')!.finish();
    expect(await waiting).toEqual([[6]]);
    const finishing = setInterval(() => {
      for (const { finish } of layer.reads) finish();
    }, 1);
    await filled;
    clearInterval(finishing);
    expect(all.complete).toBe(true);
  });

  test('ends when the model is closed', async () => {
    const layer = shelf(8, 3, { byHand: true });
    const all = residency(layer);
    const filled = all.fill();
    all.close();
    await expect(filled).rejects.toMatchObject({ name: 'AbortError' });
  });
});

test('the map tells where each expert is', async () => {
  const layer = shelf(6, 3);
  const all = residency(layer);
  await waves(all, layer, [1, 2]);
  await waves(all, layer, [2], 0, 1);
  const { remote, stored, resident, inUse } = expertPlaces;
  expect([...all.places()]).toEqual([stored, resident, inUse, remote, stored, remote]);
});

/** Which experts are in GPU memory: brings those that a halted step wants, and counts what it costs. */
import { throwIfAborted } from '../errors.ts';
import type { ExpertPolicy } from './policy.ts';
import { readAhead } from './read-ahead.ts';
import { ABSENT, type SlotTable } from './slot-table.ts';

/** Experts read at once for a step that waits: several ranges, or several values of the store. */
const READS_IN_FLIGHT = 6;

/** The bytes of one expert as in the file, a piece for each of its matrices. */
export type ExpertBytes = readonly Uint8Array<ArrayBuffer>[];

/** The experts of one layer: slots on the GPU, and the way to the bytes of those that are in none. */
export interface ExpertShelf {
  readonly table: SlotTable;
  /** Of one expert. */
  readonly expertBytes: number;
  read(expert: number, signal: AbortSignal): Promise<ExpertBytes>;
  /** Queues the writing of an expert into a slot; resolves when it is queued. */
  write(slot: number, bytes: ExpertBytes): Promise<void>;
}

/** A part of a layer's routed pairs whose experts are all in slots now. */
export interface Wave {
  /** `[pairs]`: the slot of each pair's expert, `ABSENT` for the pairs of other waves. */
  readonly slots: Uint32Array<ArrayBuffer>;
  readonly last: boolean;
}

export class ExpertResidency {
  /** Experts that a layer of a pass wanted: those in a slot at that moment, and the others. */
  hits = 0;
  misses = 0;
  /** Time that steps waited for absent experts. */
  stallMs = 0;
  readonly #reads = new Map<number, Promise<ExpertBytes>>();
  readonly #placing = new Map<number, Promise<void>>();
  readonly #lifetime = new AbortController();
  readonly #locked = new Set<number>();

  constructor(
    readonly shelves: readonly ExpertShelf[],
    readonly policy: ExpertPolicy,
  ) {}

  /** Every expert is in a slot: no step can halt. */
  get complete(): boolean {
    return this.shelves.every(({ table }) => table.resident === table.experts);
  }

  get slots(): number {
    return this.shelves.reduce((sum, { table }) => sum + table.slots, 0);
  }

  /** The layer's router chose these, and none was absent. @param token numbers the pass */
  used(layer: number, chosen: Uint32Array, token: number): void {
    const experts = [...new Set(chosen)];
    this.policy.touch(layer, experts, token);
    this.hits += experts.length;
  }

  /**
   * Brings the experts that a halted layer wants into slots: all at once where there are slots enough, else wave after wave,
   * each expert read once. The caller multiplies the pairs of a wave before it asks for the next.
   * @param chosen `[pairs]`: each pair's expert @param token numbers the pass
   */
  async *waves(layer: number, chosen: Uint32Array, token: number, signal?: AbortSignal): AsyncGenerator<Wave, void> {
    const { table } = this.shelves[layer];
    const wanted = [...new Set(chosen)];
    this.policy.touch(layer, wanted, token);
    const present = wanted.filter((expert) => table.slotOf(expert) !== undefined);
    const missing = wanted.filter((expert) => table.slotOf(expert) === undefined);
    this.hits += present.length;
    this.misses += missing.length;

    this.#locked.add(layer);
    const reads = readAhead(missing, (expert) => this.#read(layer, expert), READS_IN_FLIGHT);
    try {
      let wave = new Set(present);
      let left = missing.length;
      do {
        const start = performance.now();
        for (let room = table.slots - wave.size; room > 0 && left > 0; room--, left--) {
          const { item: expert, result } = await reads.next(signal);
          // Not among those in whose place others may go: it is one of this wave.
          wave.add(expert);
          await this.#place(layer, expert, result, wave);
          throwIfAborted(signal);
        }
        this.stallMs += performance.now() - start;
        const slots = Uint32Array.from(chosen, (expert) => (wave.has(expert) ? table.slotOf(expert)! : ABSENT));
        yield { slots, last: left === 0 };
        wave = new Set();
      } while (left > 0);
    } finally {
      this.#locked.delete(layer);
    }
  }

  /** Ends what is being read. */
  close(): void {
    this.#lifetime.abort();
  }

  /** One read at a time of each expert, whoever wants it. */
  #read(layer: number, expert: number): Promise<ExpertBytes> {
    const key = this.#key(layer, expert);
    let read = this.#reads.get(key);
    if (!read) {
      read = this.shelves[layer].read(expert, this.#lifetime.signal).finally(() => this.#reads.delete(key));
      this.#reads.set(key, read);
    }
    return read;
  }

  /** @param pinned experts that must keep their slots */
  #place(layer: number, expert: number, bytes: ExpertBytes, pinned: ReadonlySet<number>): Promise<void> {
    const key = this.#key(layer, expert);
    let placing = this.#placing.get(key);
    if (!placing) {
      placing = this.#placeNow(layer, expert, bytes, pinned).finally(() => this.#placing.delete(key));
      this.#placing.set(key, placing);
    }
    return placing;
  }

  async #placeNow(layer: number, expert: number, bytes: ExpertBytes, pinned: ReadonlySet<number>): Promise<void> {
    const shelf = this.shelves[layer];
    const { table } = shelf;
    if (table.slotOf(expert) !== undefined) return;
    const slot = table.take() ?? table.evict(this.policy.victim(layer, pinned));
    await shelf.write(slot, bytes);
    table.place([[expert, slot]]);
    this.policy.admitted(layer, expert);
  }

  #key(layer: number, expert: number): number {
    return layer * this.shelves[layer].table.experts + expert;
  }
}

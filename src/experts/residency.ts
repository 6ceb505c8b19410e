/**
 * Which experts are in GPU memory: brings those that a halted step wants, those that the next layers may want and, while
 * nothing waits, those that there is still room for; and counts what it costs.
 */
import { throwIfAborted } from '../errors.ts';
import type { ReadPriority } from '../weights/types.ts';
import type { ExpertPolicy } from './policy.ts';
import { readAhead } from './read-ahead.ts';
import { ABSENT, type SlotTable } from './slot-table.ts';

/** Experts read at once for a step that waits: several ranges, or several values of the store. */
const READS_IN_FLIGHT = 6;
/** Experts read at once to fill free slots. */
const FILL_READS_IN_FLIGHT = 3;

/** The bytes of one expert as in the file, a piece for each of its matrices. */
export type ExpertBytes = readonly Uint8Array<ArrayBuffer>[];

/** The experts of one layer: slots on the GPU, and the way to the bytes of those that are in none. */
export interface ExpertShelf {
  readonly table: SlotTable;
  /** Of one expert. */
  readonly expertBytes: number;
  /** Whether the expert is on this device, if not on the GPU: in the store, or in a picked file. */
  isLocal(expert: number): boolean;
  read(expert: number, signal: AbortSignal, priority: ReadPriority): Promise<ExpertBytes>;
  /** Queues the writing of an expert into a slot; resolves when it is queued. */
  write(slot: number, bytes: ExpertBytes): Promise<void>;
}

/** A part of a layer's routed pairs whose experts are all in slots now. */
export interface Wave {
  /** `[pairs]`: the slot of each pair's expert, `ABSENT` for the pairs of other waves. */
  readonly slots: Uint32Array<ArrayBuffer>;
  readonly last: boolean;
}

/** Where an expert is, from far to near; `inUse`: in a slot, and chosen by the last pass. */
export const expertPlaces = { remote: 0, stored: 1, resident: 2, inUse: 3 } as const;

/** Totals since loading. */
export interface ResidencyCounts {
  /** Experts that a layer of a pass wanted: those in a slot at that moment, and the others. */
  hits: number;
  misses: number;
  /** Time that steps waited for absent experts. */
  stallMs: number;
  /** Bytes of wanted experts that were in slots, and of those read from the store (or a picked file) and the server. */
  slotBytes: number;
  storeBytes: number;
  networkBytes: number;
  /** Experts that were foretold for a layer, and of those the ones its router then chose. */
  predicted: number;
  predictedRight: number;
}

interface Read {
  readonly priority: ReadPriority;
  readonly bytes: Promise<ExpertBytes>;
  arrived: boolean;
}

const RANK = { background: 0, prefetch: 1, urgent: 2 } as const satisfies Record<ReadPriority, number>;

export class ExpertResidency {
  readonly counts: ResidencyCounts = {
    hits: 0,
    misses: 0,
    stallMs: 0,
    slotBytes: 0,
    storeBytes: 0,
    networkBytes: 0,
    predicted: 0,
    predictedRight: 0,
  };
  readonly #reads = new Map<number, Read>();
  readonly #placing = new Map<number, Promise<void>>();
  readonly #lifetime = new AbortController();
  /** Layers whose wave is being multiplied: nothing else may take their slots. */
  readonly #locked = new Set<number>();
  /** Steps that wait, and those who wait for them to go on. */
  #waiting = 0;
  #idle: (() => void)[] = [];
  readonly #predictions = new Map<number, ReadonlySet<number>>();
  /** `[layers, experts]` of `expertPlaces`, without what is resident. */
  readonly #local: Uint8Array<ArrayBuffer>;
  /** Per layer: what the last pass chose. */
  readonly #lastChosen: (readonly number[])[];

  constructor(
    readonly shelves: readonly ExpertShelf[],
    readonly policy: ExpertPolicy,
  ) {
    this.#local = new Uint8Array(shelves.reduce((sum, { table }) => sum + table.experts, 0));
    this.#lastChosen = shelves.map(() => []);
  }

  /** Every expert is in a slot: no step can halt. */
  get complete(): boolean {
    return this.shelves.every(({ table }) => table.resident === table.experts);
  }

  get slots(): number {
    return this.shelves.reduce((sum, { table }) => sum + table.slots, 0);
  }

  /** Experts in slots. */
  get resident(): number {
    return this.shelves.reduce((sum, { table }) => sum + table.resident, 0);
  }

  /** `[layers, experts]`: where each expert is, of `expertPlaces`. */
  places(): Uint8Array<ArrayBuffer> {
    for (const [layer, shelf] of this.shelves.entries()) {
      const { experts } = shelf.table;
      for (let expert = 0; expert < experts; expert++) {
        const at = layer * experts + expert;
        // What is stored stays so: only the others are asked for again.
        if (this.#local[at] === expertPlaces.remote && shelf.isLocal(expert)) this.#local[at] = expertPlaces.stored;
      }
    }
    const places = this.#local.slice();
    for (const [layer, { table }] of this.shelves.entries()) {
      const row = places.subarray(layer * table.experts, (layer + 1) * table.experts);
      for (let expert = 0; expert < table.experts; expert++) {
        if (table.slotOf(expert) !== undefined) row[expert] = expertPlaces.resident;
      }
      for (const expert of this.#lastChosen[layer]) {
        if (row[expert] === expertPlaces.resident) row[expert] = expertPlaces.inUse;
      }
    }
    return places;
  }

  /** The layer's router chose these, and none was absent. @param token numbers the pass */
  used(layer: number, chosen: Uint32Array, token: number): void {
    this.#count(layer, [...new Set(chosen)], token);
  }

  /**
   * Brings the experts that a halted layer wants into slots: all at once where there are slots enough, else wave after wave,
   * each expert read once. The caller multiplies the pairs of a wave before it asks for the next.
   * @param chosen `[pairs]`: each pair's expert @param token numbers the pass
   */
  async *waves(layer: number, chosen: Uint32Array, token: number, signal?: AbortSignal): AsyncGenerator<Wave, void> {
    const { table } = this.shelves[layer];
    const wanted = [...new Set(chosen)];
    this.#count(layer, wanted, token);
    const isPresent = (expert: number) => table.slotOf(expert) !== undefined;
    const missing = wanted.filter((expert) => !isPresent(expert));

    this.#locked.add(layer);
    this.#waiting++;
    const reads = readAhead(missing, (expert) => this.#readOrPlaced(layer, expert), READS_IN_FLIGHT);
    try {
      let wave = new Set(wanted.filter(isPresent));
      let left = missing.length;
      do {
        const start = performance.now();
        for (let room = table.slots - wave.size; room > 0 && left > 0; room--, left--) {
          const { item: expert, result } = await reads.next(signal);
          // From here on it is one of those that keep their slots.
          wave.add(expert);
          await this.#place(layer, expert, result, wave);
          throwIfAborted(signal);
        }
        this.counts.stallMs += performance.now() - start;
        const slots = Uint32Array.from(chosen, (expert) => (wave.has(expert) ? table.slotOf(expert)! : ABSENT));
        yield { slots, last: left === 0 };
        wave = new Set();
      } while (left > 0);
    } finally {
      this.#locked.delete(layer);
      this.#forgetArrived(layer);
      this.#waiting--;
      if (this.#waiting === 0) for (const goOn of this.#idle.splice(0)) goOn();
    }
  }

  /**
   * A later layer of the pass will probably want these: they are read ahead.
   * @returns resolves when all of them are in slots, or there is no more hope of it
   */
  async prefetch(layer: number, experts: readonly number[]): Promise<void> {
    const { table } = this.shelves[layer];
    const foretold = new Set(experts);
    this.#predictions.set(layer, foretold);
    const bring = async (expert: number) => {
      if (table.slotOf(expert) !== undefined) return;
      const bytes = await this.#read(layer, expert, 'prefetch');
      // A step that waits at this layer takes what it wants of it by itself.
      if (this.#locked.has(layer)) return;
      if (table.hasFree || this.#hasVictim(layer, foretold)) await this.#place(layer, expert, bytes, foretold);
      else this.#reads.delete(this.#key(layer, expert));
    };
    // What fails is read again by whoever really wants it, who is told.
    await Promise.allSettled(experts.map(bring));
  }

  /** Lets a step wait a little longer for what is being read ahead: it saves the waits of later layers, where it is right. */
  async waitFor(foreseen: Promise<void>, mostMs: number): Promise<void> {
    const start = performance.now();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, mostMs);
    });
    await Promise.race([foreseen, patience]);
    clearTimeout(timer);
    this.counts.stallMs += performance.now() - start;
  }

  /**
   * Fills free slots while no step waits, a layer after the other as in the file, the most used experts of each. Resolves
   * when all slots are taken, or the model is closed.
   * @throws QwenError as reading does
   */
  async fill(): Promise<void> {
    const { signal } = this.#lifetime;
    for (const [layer, { table }] of this.shelves.entries()) {
      const initial = this.policy.initial(layer, table.slots).sort((a, b) => a - b);
      const isAbsent = (expert: number) => table.slotOf(expert) === undefined;
      const absent = initial.filter(isAbsent);
      // A step may have brought it meanwhile.
      const read = async (expert: number) => (isAbsent(expert) ? this.#read(layer, expert, 'background') : []);
      const reads = readAhead(absent, read, FILL_READS_IN_FLIGHT);
      for (let left = absent.length; left > 0 && table.hasFree; left--) {
        const { item: expert, result } = await reads.next(signal);
        while (this.#waiting > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
        throwIfAborted(signal);
        if (table.hasFree && result.length > 0) await this.#place(layer, expert, result, new Set());
      }
      for (const expert of absent) this.#reads.delete(this.#key(layer, expert));
    }
  }

  /** Ends what is being read. */
  close(): void {
    this.#lifetime.abort();
    for (const goOn of this.#idle.splice(0)) goOn();
  }

  get closed(): boolean {
    return this.#lifetime.signal.aborted;
  }

  #count(layer: number, wanted: number[], token: number): void {
    const { table, expertBytes } = this.shelves[layer];
    this.policy.touch(layer, wanted, token);
    this.#lastChosen[layer] = wanted;
    const hits = wanted.filter((expert) => table.slotOf(expert) !== undefined).length;
    this.counts.hits += hits;
    this.counts.misses += wanted.length - hits;
    this.counts.slotBytes += hits * expertBytes;
    const foretold = this.#predictions.get(layer);
    if (!foretold) return;
    this.counts.predicted += foretold.size;
    this.counts.predictedRight += wanted.filter((expert) => foretold.has(expert)).length;
    this.#predictions.delete(layer);
  }

  /** No bytes, but only patience, for an expert that is being placed already. */
  #readOrPlaced(layer: number, expert: number): Promise<ExpertBytes> {
    const placing = this.#placing.get(this.#key(layer, expert));
    return placing ? placing.then(() => []) : this.#read(layer, expert, 'urgent');
  }

  /**
   * One read of each expert, whoever wants it, until it is placed; asked for again, with more haste, where it is on its way.
   */
  #read(layer: number, expert: number, priority: ReadPriority): Promise<ExpertBytes> {
    const key = this.#key(layer, expert);
    const running = this.#reads.get(key);
    if (running && (running.arrived || RANK[running.priority] >= RANK[priority])) return running.bytes;
    const shelf = this.shelves[layer];
    if (!running) this.counts[shelf.isLocal(expert) ? 'storeBytes' : 'networkBytes'] += shelf.expertBytes;
    const bytes = shelf.read(expert, this.#lifetime.signal, priority);
    const read: Read = { priority, bytes, arrived: false };
    this.#reads.set(key, read);
    bytes.then(
      () => {
        read.arrived = true;
      },
      () => {
        if (this.#reads.get(key) === read) this.#reads.delete(key);
      },
    );
    return bytes;
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
    // A slot may be taken by one that is still being written, and cannot be displaced before it is there.
    while (!table.hasFree && !this.#hasVictim(layer, pinned)) await this.#anotherPlaced(layer, expert);
    if (table.slotOf(expert) !== undefined) return;
    const slot = table.take() ?? table.evict(this.policy.victim(layer, pinned));
    await shelf.write(slot, bytes);
    table.place([[expert, slot]]);
    this.policy.admitted(layer, expert);
    this.#reads.delete(this.#key(layer, expert));
  }

  /** Bytes that came while the layer was locked, and that nobody wanted. */
  #forgetArrived(layer: number): void {
    const { experts } = this.shelves[layer].table;
    for (const [key, { arrived, priority }] of this.#reads) {
      if (arrived && priority !== 'background' && Math.floor(key / experts) === layer) this.#reads.delete(key);
    }
  }

  #hasVictim(layer: number, pinned: ReadonlySet<number>): boolean {
    const { table } = this.shelves[layer];
    for (let expert = 0; expert < table.experts; expert++) {
      if (table.slotOf(expert) !== undefined && !pinned.has(expert)) return true;
    }
    return false;
  }

  async #anotherPlaced(layer: number, but: number): Promise<void> {
    const { experts } = this.shelves[layer].table;
    const own = this.#key(layer, but);
    const others = [...this.#placing].filter(([key]) => key !== own && Math.floor(key / experts) === layer);
    if (others.length === 0) throw new RangeError(`Layer ${layer} has no slot for expert ${but}.`);
    await Promise.race(others.map(([, placing]) => placing.catch(() => {})));
  }

  #key(layer: number, expert: number): number {
    return layer * this.shelves[layer].table.experts + expert;
  }
}

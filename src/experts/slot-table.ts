import type { Gpu, GpuBuffer } from '../gpu/index.ts';

/** An expert that is in no slot. */
export const ABSENT = 0xffffffff;

/**
 * Where each expert of a layer lives: a slot of the layer's stacked matrices. The router reads the table on the GPU, whose
 * copy is written with every change: queued behind the steps so far, before those to come.
 */
export class SlotTable {
  /** `[experts]` u32. */
  readonly buffer: GpuBuffer;
  readonly #slotOf: Uint32Array<ArrayBuffer>;
  readonly #free: number[];
  #resident = 0;

  constructor(
    private readonly gpu: Gpu,
    label: string,
    readonly experts: number,
    readonly slots: number,
  ) {
    this.#slotOf = new Uint32Array(experts).fill(ABSENT);
    this.#free = Array.from({ length: slots }, (_, i) => slots - 1 - i);
    this.buffer = gpu.upload(label, this.#slotOf);
  }

  /** Experts in slots. */
  get resident(): number {
    return this.#resident;
  }

  get hasFree(): boolean {
    return this.#free.length > 0;
  }

  slotOf(expert: number): number | undefined {
    const slot = this.#slotOf[expert];
    return slot === ABSENT ? undefined : slot;
  }

  /** A free slot, which is the caller's until an expert is placed there. */
  take(): number | undefined {
    return this.#free.pop();
  }

  /** Takes the slot of an expert, which is absent from here on: to be called before the slot is overwritten. */
  evict(expert: number): number {
    const slot = this.slotOf(expert);
    if (slot === undefined) throw new RangeError(`Expert ${expert} is in no slot.`);
    this.#slotOf[expert] = ABSENT;
    this.#resident--;
    this.#write();
    return slot;
  }

  /** Says that these experts are now in these slots, which were taken; call after their weights were written. */
  place(entries: Iterable<readonly [expert: number, slot: number]>): void {
    for (const [expert, slot] of entries) {
      if (this.#slotOf[expert] === ABSENT) this.#resident++;
      this.#slotOf[expert] = slot;
    }
    this.#write();
  }

  dispose(): void {
    this.buffer.dispose();
  }

  #write(): void {
    this.gpu.write(this.buffer, 0, this.#slotOf);
  }
}

import type { Gpu, GpuBuffer } from '../gpu/index.ts';

/** An expert that is in no slot. */
export const ABSENT = 0xffffffff;

/**
 * Where each expert of a layer lives: a slot of the layer's stacked matrices. The router reads the table on the GPU.
 * Here every expert has a slot of its own.
 */
export class SlotTable {
  /** `[experts]` u32. */
  readonly buffer: GpuBuffer;
  readonly #slotOf: Uint32Array<ArrayBuffer>;

  constructor(
    private readonly gpu: Gpu,
    label: string,
    readonly experts: number,
    readonly slots: number,
  ) {
    this.#slotOf = new Uint32Array(experts).fill(ABSENT);
    this.buffer = gpu.upload(label, this.#slotOf);
  }

  slotOf(expert: number): number | undefined {
    const slot = this.#slotOf[expert];
    return slot === ABSENT ? undefined : slot;
  }

  /** Says that these experts are now in these slots; call after their weights were written. */
  place(entries: Iterable<readonly [expert: number, slot: number]>): void {
    for (const [expert, slot] of entries) this.#slotOf[expert] = slot;
    this.gpu.write(this.buffer, 0, this.#slotOf);
  }

  dispose(): void {
    this.buffer.dispose();
  }
}

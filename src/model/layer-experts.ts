import type { ExpertBytes, ExpertShelf, SlotTable } from '../experts/index.ts';
import type { RowRange, StagingRing, WeightMatrix } from '../kernels/weight-matrix.ts';
import type { ReadPriority, TensorInfo } from '../weights/types.ts';

/** A stack on the GPU, by slot, and the tensors `[experts, rows, columns]` that it holds a part of. */
export interface ExpertStack {
  readonly matrix: WeightMatrix;
  readonly tensors: readonly {
    readonly tensor: TensorInfo;
    /** Where its rows are in each slot. */
    readonly range: RowRange;
    /** Of one expert. */
    readonly bytes: number;
  }[];
}

/** One layer's experts: in GGUF an expert's matrix is one run of its tensor's bytes. */
export class LayerExperts implements ExpertShelf {
  readonly expertBytes: number;
  /** What an expert consists of, in the order of its bytes. */
  readonly #parts: readonly (ExpertStack['tensors'][number] & { readonly matrix: WeightMatrix })[];

  constructor(
    readonly table: SlotTable,
    stacks: readonly ExpertStack[],
    private readonly ring: StagingRing,
  ) {
    this.#parts = stacks.flatMap(({ matrix, tensors }) => tensors.map((part) => ({ ...part, matrix })));
    this.expertBytes = this.#parts.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  isLocal(expert: number): boolean {
    return this.#parts.every(({ tensor, bytes }) => tensor.isLocal(expert * bytes, bytes));
  }

  read(expert: number, signal: AbortSignal, priority: ReadPriority): Promise<ExpertBytes> {
    return Promise.all(this.#parts.map(({ tensor, bytes }) => tensor.read(expert * bytes, bytes, signal, priority)));
  }

  write(slot: number, bytes: ExpertBytes): Promise<void> {
    return this.ring.write(this.#parts.map(({ matrix, range }, i) => ({ matrix, slot, range, bytes: bytes[i] })));
  }
}

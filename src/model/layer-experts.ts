import type { ExpertBytes, ExpertShelf, SlotTable } from '../experts/index.ts';
import type { StagingRing, WeightMatrix } from '../kernels/weight-matrix.ts';
import type { ReadPriority, TensorInfo } from '../weights/types.ts';

/** A stack on the GPU, by slot, and the tensor `[experts, rows, columns]` that it holds a part of. */
export interface ExpertStack {
  readonly matrix: WeightMatrix;
  readonly tensor: TensorInfo;
}

/** One layer's experts: in GGUF an expert's matrix is one run of its tensor's bytes. */
export class LayerExperts implements ExpertShelf {
  readonly expertBytes: number;

  constructor(
    readonly table: SlotTable,
    private readonly stacks: readonly ExpertStack[],
    private readonly ring: StagingRing,
  ) {
    this.expertBytes = stacks.reduce((sum, { matrix }) => sum + matrix.bytes, 0);
  }

  isLocal(expert: number): boolean {
    return this.stacks.every(({ matrix, tensor }) => tensor.isLocal(expert * matrix.bytes, matrix.bytes));
  }

  read(expert: number, signal: AbortSignal, priority: ReadPriority): Promise<ExpertBytes> {
    return Promise.all(
      this.stacks.map(({ matrix, tensor }) => tensor.read(expert * matrix.bytes, matrix.bytes, signal, priority)),
    );
  }

  write(slot: number, bytes: ExpertBytes): Promise<void> {
    return this.ring.write(this.stacks.map(({ matrix }, i) => ({ matrix, slot, bytes: bytes[i] })));
  }
}

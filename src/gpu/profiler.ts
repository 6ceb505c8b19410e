import type { Gpu, GpuBuffer } from './device.ts';
import { BufferUsage } from './flags.ts';

/** What a dispatch is, for whoever reads a profile. */
export interface DispatchInfo {
  /** The shader's name. */
  readonly kernel: string;
  /** Modules and conditions it was linked with, e.g. `q4_k subgroups`. */
  readonly variant: string;
  /** Name of the matrix it multiplies with, where it does. */
  readonly weights?: string;
  /** Bytes of weights it reads, as in the file. */
  readonly weightBytes: number;
  /** Other bytes it reads and writes, and floating-point operations, as its launcher counts them; 0 where it cannot. */
  readonly bytes: number;
  readonly flops: number;
  /** More of both for each token that the sequence has, counted to the last of the pass. */
  readonly keyBytes: number;
  readonly keyFlops: number;
  readonly grid: readonly [x: number, y: number, z: number];
}

export interface TimedDispatch extends DispatchInfo {
  /** Nanoseconds from its beginning to its end. */
  readonly ns: number;
}

/** WebGPU allows 4096 queries a set; a dispatch takes two. */
const MAX_DISPATCHES = 2048;

/**
 * Times the dispatches of programs that are encoded with it: each becomes a pass of its own with a timestamp at either end,
 * so a profiled run is slower than a plain one by what its passes cost. Browsers, and Dawn unless told otherwise, round
 * timestamps to 0.1 ms.
 */
export class Profiler {
  readonly #gpu: Gpu;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GpuBuffer;
  readonly #dispatches: DispatchInfo[] = [];

  constructor(gpu: Gpu) {
    if (!gpu.capabilities.timestamps) throw new Error(`${gpu.adapterName} has no timestamp queries`);
    this.#gpu = gpu;
    this.#queries = gpu.device.createQuerySet({ label: 'profiler', type: 'timestamp', count: 2 * MAX_DISPATCHES });
    this.#resolved = gpu.createBuffer(
      'profiler',
      2 * MAX_DISPATCHES * 8,
      BufferUsage.QUERY_RESOLVE | BufferUsage.COPY_SRC,
    );
  }

  /** Where the pass of the next dispatch writes its timestamps. */
  next(dispatch: DispatchInfo): GPUComputePassTimestampWrites {
    const query = 2 * this.#dispatches.length;
    if (query === 2 * MAX_DISPATCHES) throw new Error(`more than ${MAX_DISPATCHES} dispatches since the last take`);
    this.#dispatches.push(dispatch);
    return { querySet: this.#queries, beginningOfPassWriteIndex: query, endOfPassWriteIndex: query + 1 };
  }

  /** The dispatches submitted since the last call, in order. */
  async take(): Promise<TimedDispatch[]> {
    const dispatches = this.#dispatches.splice(0);
    if (dispatches.length === 0) return [];
    const encoder = this.#gpu.device.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, 2 * dispatches.length, this.#resolved.buffer, 0);
    this.#gpu.device.queue.submit([encoder.finish()]);
    const times = new BigUint64Array(await this.#gpu.read(this.#resolved.slice(0, 16 * dispatches.length)));
    return dispatches.map((dispatch, i) => ({ ...dispatch, ns: Number(times[2 * i + 1] - times[2 * i]) }));
  }

  dispose(): void {
    this.#queries.destroy();
    this.#resolved.dispose();
  }
}

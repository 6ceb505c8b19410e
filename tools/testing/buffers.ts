/** GPU buffers of one test. */
import { afterAll, afterEach, expect } from 'vitest';
import type { Gpu, GpuBuffer } from '../../src/gpu/index.ts';

/** What is read from an output that no kernel wrote: a NaN, so that a missed element shows. */
const UNWRITTEN = 0xffffffff;

export class TestBuffers {
  readonly #owned: { dispose(): void }[] = [];

  constructor(readonly gpu: Gpu) {}

  /** Disposes `owner` at the end of the test. */
  own<T extends { dispose(): void }>(owner: T): T {
    this.#owned.push(owner);
    return owner;
  }

  floats(data: ArrayLike<number>): GpuBuffer {
    return this.own(this.gpu.upload('floats', Float32Array.from(data)));
  }

  words(data: ArrayLike<number>): GpuBuffer {
    return this.own(this.gpu.upload('words', Uint32Array.from(data)));
  }

  /** An output of 4-byte elements, NaN where nothing is written. */
  output(length: number): GpuBuffer {
    return this.own(this.gpu.upload('output', new Uint32Array(length).fill(UNWRITTEN)));
  }

  dispose(): void {
    for (const owner of this.#owned.splice(0)) owner.dispose();
  }
}

/**
 * Buffers of the calling file's tests: disposed after each, and the device after all.
 * @param kept buffers that live as long as the device (codebooks)
 */
export function useBuffers(gpu: Gpu, kept = 0): TestBuffers {
  const buffers = new TestBuffers(gpu);
  afterEach(() => {
    buffers.dispose();
    expect(gpu.liveBuffers, 'a buffer is still alive').toBeLessThanOrEqual(kept);
  });
  afterAll(() => gpu.dispose());
  return buffers;
}

import type { Gpu, GpuBuffer } from '../gpu/index.ts';

/**
 * Intermediate results of a pass, by name; made when first asked for, at the size of the largest pass, and shared by all
 * layers and programs.
 */
export class Scratch {
  readonly #buffers = new Map<string, GpuBuffer>();

  constructor(
    private readonly gpu: Gpu,
    /** Most tokens of a pass. */
    readonly maxTokens: number,
  ) {}

  /** `[maxTokens, floats]` f32. */
  rows(name: string, floats: number): GpuBuffer {
    return this.bytes(name, this.maxTokens * floats * 4);
  }

  bytes(name: string, size: number): GpuBuffer {
    let buffer = this.#buffers.get(name);
    if (!buffer) {
      buffer = this.gpu.createBuffer(name, size);
      this.#buffers.set(name, buffer);
    }
    if (buffer.size < size) throw new Error(`scratch ${name} has ${buffer.size} bytes, ${size} are needed`);
    return buffer;
  }

  dispose(): void {
    for (const buffer of this.#buffers.values()) buffer.dispose();
    this.#buffers.clear();
  }
}

import { BufferUsage, type Gpu, type GpuBuffer } from '../gpu/index.ts';

/** What a submit copies back: parts of several buffers, one after another in one that can be mapped. */
export class Readback {
  readonly #parts: { source: GpuBuffer; from: number; at: number; bytes: number }[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** @param from, bytes multiples of 4 @returns where it will be among what was read */
  add(source: GpuBuffer, from: number, bytes: number): number {
    const at = this.#bytes;
    if (bytes > 0) this.#parts.push({ source, from, at, bytes });
    this.#bytes += bytes;
    return at;
  }

  copy(encoder: GPUCommandEncoder, target: GpuBuffer): void {
    for (const { source, from, at, bytes } of this.#parts) {
      encoder.copyBufferToBuffer(source.buffer, from, target.buffer, at, bytes);
    }
  }

  /** What was copied, once the GPU has done so. */
  async read(gpu: Gpu, { buffer }: GpuBuffer): Promise<ArrayBuffer> {
    await gpu.map(buffer, 0, this.#bytes);
    const bytes = buffer.getMappedRange(0, this.#bytes).slice(0);
    buffer.unmap();
    gpu.assertAlive();
    return bytes;
  }
}

export function createReadback(gpu: Gpu, label: string, bytes: number): GpuBuffer {
  return gpu.createBuffer(label, bytes, BufferUsage.MAP_READ | BufferUsage.COPY_DST);
}

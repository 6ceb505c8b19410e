import type { Gpu, GpuBuffer } from '../gpu/index.ts';

/** Bytes of the step buffer of `lib/step.wgsl`, and where its halt is. */
export const STEP_BYTES = 16;
export const HALT_AT = 8;

export interface Step {
  /** Tokens before it. */
  readonly position: number;
  /** The place of the recurrent state that it goes on from. Default 0. */
  readonly state?: number;
  /** The place of the state that it leaves. Default 0. */
  readonly into?: number;
}

export function createStep(gpu: Gpu, label: string): GpuBuffer {
  return gpu.createBuffer(label, STEP_BYTES);
}

/** Tells the programs that read it where they are; nothing halts them. */
export function writeStep(gpu: Gpu, buffer: GpuBuffer, { position, state = 0, into = 0 }: Step): void {
  gpu.write(buffer, 0, new Uint32Array([position, into, 0, state]));
}

import type { Gpu, GpuBuffer } from '../gpu/index.ts';

/** Bytes of the step buffer of `lib/step.wgsl`, and where its halt is. */
export const STEP_BYTES = 16;
export const HALT_AT = 8;

export interface Step {
  /** Tokens before it. */
  readonly position: number;
  readonly tokens: number;
  /** Which of the recurrent states it goes on from. */
  readonly state: number;
}

export function createStep(gpu: Gpu, label: string): GpuBuffer {
  return gpu.createBuffer(label, STEP_BYTES);
}

/** Tells the programs that read it where they are; nothing halts them. */
export function writeStep(gpu: Gpu, buffer: GpuBuffer, { position, tokens, state }: Step): void {
  gpu.write(buffer, 0, new Uint32Array([position, tokens, 0, state]));
}

import type { GpuBuffer, Recorder } from '../gpu/index.ts';
import type { ModelConfig } from './config.ts';
import type { Scratch } from './scratch.ts';

/** What a pass reads besides the model: filled by the engine before each run. */
export interface PassInput {
  /** `[T]` u32. */
  readonly tokens: GpuBuffer;
  /** `[T, rotary / 2, 2]` f32, from `ropeTable`. */
  readonly rope: GpuBuffer;
}

/** One pass being recorded: T tokens after those that the state has seen. */
export interface Pass {
  readonly rec: Recorder;
  readonly config: ModelConfig;
  readonly scratch: Scratch;
  readonly input: PassInput;
  readonly tokens: number;
  /** Matmul tiles in f16. */
  readonly f16: boolean;
  /** Products of many tokens may round x to 8 bits. Default false. */
  readonly int8?: boolean;
  /** How many of the last tokens the DeltaNet layers keep a state after. Default 1. */
  readonly kept?: number;
  /** Where the router of a pass of one layer says what it chose. Default: `routing` has room for all layers. */
  readonly choices?: { readonly buffer: GpuBuffer; readonly at: number };
}

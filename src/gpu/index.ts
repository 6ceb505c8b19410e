export { type Bindable, type BufferRange, type Capabilities, Gpu, GpuBuffer, range } from './device.ts';
export { type DispatchInfo, Profiler, type TimedDispatch } from './profiler.ts';
export { type Grid, Program, Recorder } from './program.ts';
export type { ShaderVariant } from './shaders.ts';

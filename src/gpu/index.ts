export {
  type Bindable,
  type BufferRange,
  type Capabilities,
  Gpu,
  GpuBuffer,
  type OpenGpuOptions,
  range,
  type SubgroupMatrix,
} from './device.ts';
export { BufferUsage } from './flags.ts';
export { type DispatchInfo, Profiler, type TimedDispatch } from './profiler.ts';
export { type DispatchCost, type Grid, Program, programBytes, Recorder } from './program.ts';
export { type ShaderVariant, shadersVersion } from './shaders.ts';

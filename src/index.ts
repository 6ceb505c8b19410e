/**
 * Qwen 3.5 in the browser, on WebGPU, from unmodified GGUF files.
 *
 * @packageDocumentation
 */
export type { ApiErrorBody, Creator, DetokenizeOptions, TokenizeOptions } from './api/index.ts';
export { Engine, serveFromServiceWorker } from './api/index.ts';
export { downloadModel } from './api/stored.ts';
export type * from './api/types.ts';
export type {
  EngineStats,
  KvType,
  LoadOptions,
  LoadProgress,
  MemoryPlan,
  ModelFile,
  ModelInfo,
  ModelInput,
  PlanOptions,
  Precision,
  RopeScaling,
  SpeedAssumptions,
  StoreKind,
  Trace,
  TracedDispatch,
} from './engine/types.ts';
export { QwenError, type QwenErrorCode, type QwenErrorDetails } from './errors.ts';
export type { RememberedFiles, StoredFile, StoreProgress, StoreWorkOptions } from './weights/index.ts';
export {
  allowFiles,
  deleteStored,
  forgetFiles,
  listStored,
  rememberedFiles,
  rememberFiles,
  verifyStored,
} from './weights/index.ts';

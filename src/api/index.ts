/** OpenAI-shaped requests on a loaded model. Knows no GPU. */
export { type Creator, Engine } from './engine.ts';
export type { ApiErrorBody } from './fetch.ts';
export { serveFromServiceWorker } from './serve-page.ts';
export type { DetokenizeOptions, TokenizeOptions } from './service.ts';
export type * from './types.ts';

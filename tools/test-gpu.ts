/** WebGPU for tests that run both in Node (Dawn) and in a browser. */

import { createDawn } from './dawn.mjs';

/**
 * The process's one WebGPU implementation: Dawn's in Node, `navigator.gpu` in a browser.
 * @throws Error when there is none.
 */
export async function testGpu(): Promise<GPU> {
  if (typeof navigator !== 'undefined' && navigator.gpu !== undefined) return navigator.gpu;
  if (typeof process === 'undefined') throw new Error('This browser has no WebGPU. It needs --enable-unsafe-webgpu.');
  // As a browser started with --enable-unsafe-webgpu: experimental features are offered where the adapter has them.
  return createDawn(['enable-dawn-features=allow_unsafe_apis']);
}

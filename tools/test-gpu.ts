/** WebGPU for tests that run both in Node (Dawn) and in a browser. */

import { createDawn } from './dawn.mjs';

let gpu: Promise<GPU> | undefined;

/**
 * The process's one WebGPU implementation: Dawn's in Node, `navigator.gpu` in a browser.
 * @throws Error when there is none.
 */
export function testGpu(): Promise<GPU> {
  // Kept for the life of the process: Dawn's build for Node crashes at exit if the object was collected before.
  gpu ??= typeof navigator !== 'undefined' && navigator.gpu !== undefined ? Promise.resolve(navigator.gpu) : dawn();
  return gpu;
}

async function dawn(): Promise<GPU> {
  if (typeof process === 'undefined') throw new Error('This browser has no WebGPU. It needs --enable-unsafe-webgpu.');
  // As a browser started with --enable-unsafe-webgpu: experimental features are offered where the adapter has them.
  return createDawn(['enable-dawn-features=allow_unsafe_apis']);
}

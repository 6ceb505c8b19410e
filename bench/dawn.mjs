// @ts-check
/** WebGPU for benchmarks: Dawn in Node, on the adapter that the tests choose. */
import { findDawnAdapter } from '../tools/adapters.mjs';
import { createDawn } from '../tools/dawn.mjs';

/**
 * Finding the adapter takes a process of its own: once is enough.
 * @type {Promise<GPU> | undefined}
 */
let gpu;

/**
 * @param {readonly string[]} [options] Dawn's, such as `disable-dawn-features=timestamp_quantization`
 * @returns {Promise<GPU>}
 */
export function openDawn(options = []) {
  gpu ??= useAdapter().then(() => createDawn(options));
  return gpu;
}

/**
 * Sets the variables that choose the adapter, for this process and those that it starts.
 * @returns {Promise<import('../tools/adapters.mjs').DawnAdapter>}
 */
export async function useAdapter() {
  const adapter = await findDawnAdapter();
  if (!adapter)
    throw new Error('Dawn finds no adapter to measure on. Install a Vulkan driver, such as Mesa 25 or newer.');
  // Vulkan's loader has not been called yet, so it will read these.
  Object.assign(process.env, adapter.env);
  return adapter;
}

// @ts-check
/**
 * WebGPU in Node: Dawn's build of the package `webgpu`, opened by tests, benchmarks, their peers and the server alike.
 */

/** Before each look at whether a software adapter is done. A token takes one some 80 ms. */
const PAUSE_MS = 0.2;

/** @type {Promise<GPU> | undefined} */
let gpu;

/**
 * The process's one instance, kept for its life: this build crashes at exit if it was collected before. The names of WebGPU's
 * classes and constants become global.
 *
 * @param {readonly string[]} [options] Dawn's, such as `enable-dawn-features=allow_unsafe_apis`; those of the first call hold
 * @returns {Promise<GPU>}
 */
export function createDawn(options = []) {
  gpu ??= create(options);
  return gpu;
}

/** @param {readonly string[]} options */
async function create(options) {
  // Browsers never get here, and must not be served a native module: the name is hidden from the bundler.
  const name = 'webgpu';
  const dawn = /** @type {typeof import('webgpu')} */ (await import(/* @vite-ignore */ name));
  Object.assign(globalThis, dawn.globals);
  if (process.env.DAWN_PAUSES === '1') pauseBetweenLooks();
  return dawn.create([...options]);
}

/**
 * While anything is awaited, this build of Dawn asks in every turn of the event loop whether it is done, which keeps a core busy that a
 * software adapter needs to get it done. Dawn fetches `setImmediate` anew for each turn, so what it gets may sleep a little.
 */
function pauseBetweenLooks() {
  const { setImmediate } = globalThis;
  const never = new Int32Array(new SharedArrayBuffer(4));
  /** @param {(...args: unknown[]) => void} callback @param {unknown[]} args */
  function pausing(callback, ...args) {
    if (isNative(callback)) Atomics.wait(never, 0, 0, PAUSE_MS);
    return setImmediate(callback, ...args);
  }
  globalThis.setImmediate = /** @type {typeof setImmediate} */ (/** @type {unknown} */ (pausing));
}

/** Dawn's functions are native and have no name; those that `bind` makes have one. @param {Function} callback */
function isNative(callback) {
  return callback.name === '' && Function.prototype.toString.call(callback).endsWith('{ [native code] }');
}

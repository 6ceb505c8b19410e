// @ts-check
/** What a program's own script costs between its readbacks: time, and the objects it makes. */

/** @typedef {{ ms: number, readbacks: number, made: number }} ScriptCosts */

/** What makes objects on the GPU, or takes time to make. */
const MAKERS = /** @type {const} */ (['createBuffer', 'createBindGroup', 'createComputePipeline']);

/**
 * Watches all devices that come from `gpu`, which is changed. A step waits in one map: from where that resolves to where the next
 * is asked for, everything is script: reading back, sampling, text, encoding and submitting.
 * @param {GPU} gpu
 * @returns {{ reset(): void, readonly costs: ScriptCosts }}
 */
export function watchScript(gpu) {
  /** @type {ScriptCosts} */
  let costs = { ms: 0, readbacks: 0, made: 0 };
  /** @type {number | undefined} */
  let resolved;

  /** @param {GPUBuffer} buffer */
  const watchBuffer = (buffer) => {
    const map = buffer.mapAsync.bind(buffer);
    buffer.mapAsync = async (...args) => {
      if (resolved !== undefined) {
        costs.ms += performance.now() - resolved;
        costs.readbacks++;
      }
      resolved = undefined;
      await map(...args);
      resolved = performance.now();
      return undefined;
    };
    return buffer;
  };

  const requestAdapter = gpu.requestAdapter.bind(gpu);
  gpu.requestAdapter = async (...wanted) => {
    const adapter = await requestAdapter(...wanted);
    if (!adapter) return adapter;
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (...options) => {
      const device = await requestDevice(...options);
      for (const maker of MAKERS) {
        const make = /** @type {(descriptor: any) => any} */ (device[maker]).bind(device);
        device[maker] = (/** @type {any} */ descriptor) => {
          costs.made++;
          const object = make(descriptor);
          return maker === 'createBuffer' ? watchBuffer(object) : object;
        };
      }
      return device;
    };
    return adapter;
  };

  return {
    reset() {
      costs = { ms: 0, readbacks: 0, made: 0 };
      resolved = undefined;
    },
    get costs() {
      return costs;
    },
  };
}

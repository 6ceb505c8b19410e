import { startWorker } from '../weights/start-worker.ts';

/** Starts the engine's worker, wherever the library was loaded from. */
export function startEngineWorker(): Worker {
  // Bundlers look for exactly this form, so the address is written twice.
  const address = new URL('../../workers/engine-worker.ts', import.meta.url);
  return startWorker(
    address,
    undefined,
    () => new Worker(new URL('../../workers/engine-worker.ts', import.meta.url), { type: 'module' }),
  );
}

/** The same script by the name under which it only reads and writes files. */
export function startStorageWorker(): Worker {
  const address = new URL('../../workers/engine-worker.ts', import.meta.url);
  return startWorker(
    address,
    'qwen-webgpu storage',
    () =>
      new Worker(new URL('../../workers/engine-worker.ts', import.meta.url), {
        type: 'module',
        name: 'qwen-webgpu storage', // STORAGE_WORKER: bundlers want it written here.
      }),
  );
}

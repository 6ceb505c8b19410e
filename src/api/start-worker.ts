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

/** Starts the engine's worker, wherever the library was loaded from. */

export function startEngineWorker(): Worker {
  // Bundlers look for exactly this form, so the address is written twice.
  const address = new URL('../../workers/engine-worker.ts', import.meta.url);
  if (isOwnOrigin(address)) {
    return new Worker(new URL('../../workers/engine-worker.ts', import.meta.url), { type: 'module' });
  }
  return startFromOtherOrigin(address);
}

/**
 * A worker's script must be of the page's origin, and a blob's is; modules that it imports may come from anywhere that
 * allows it (CORS), as the library itself did.
 */
function startFromOtherOrigin(address: URL): Worker {
  const source = new Blob([`import ${JSON.stringify(address.href)};`], { type: 'text/javascript' });
  const url = URL.createObjectURL(source);
  const worker = new Worker(url, { type: 'module' });
  const revoke = () => URL.revokeObjectURL(url);
  worker.addEventListener('message', revoke, { once: true });
  worker.addEventListener('error', revoke, { once: true });
  return worker;
}

function isOwnOrigin(address: URL): boolean {
  return address.protocol === 'blob:' || address.protocol === 'data:' || address.origin === location.origin;
}

/** Starts a worker from a module's address, wherever that lies. */

/**
 * @param sameOrigin starts it where the address is of the page's origin: bundlers look for `new Worker(new URL(…))`, so that has
 *   to be written where the address is known
 */
export function startWorker(address: URL, name: string | undefined, sameOrigin?: () => Worker): Worker {
  if (isOwnOrigin(address)) return sameOrigin?.() ?? new Worker(address, { type: 'module', name });
  return startFromOtherOrigin(address, name);
}

/**
 * A worker's script must be of the page's origin, and a blob's is; modules that it imports may come from anywhere that
 * allows it (CORS), as the library itself did.
 */
function startFromOtherOrigin(address: URL, name: string | undefined): Worker {
  const source = new Blob([`import ${JSON.stringify(address.href)};`], { type: 'text/javascript' });
  const url = URL.createObjectURL(source);
  const worker = new Worker(url, { type: 'module', name });
  const revoke = () => URL.revokeObjectURL(url);
  worker.addEventListener('message', revoke, { once: true });
  worker.addEventListener('error', revoke, { once: true });
  return worker;
}

function isOwnOrigin(address: URL): boolean {
  return address.protocol === 'blob:' || address.protocol === 'data:' || address.origin === location.origin;
}

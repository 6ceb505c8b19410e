/** How much a site may store, and what is said when that is used up. */
import { QwenError } from '../errors.ts';

let persistence: Promise<boolean> | undefined;

/**
 * Asks the browser, once a page, not to evict what is stored. Only windows may ask: a worker gets `false`, so the page
 * that owns the worker should call this too.
 */
export function requestPersistence(): Promise<boolean> {
  persistence ??= (async () => {
    try {
      return (await globalThis.navigator?.storage?.persist?.()) ?? false;
    } catch {
      return false; // Refused, as in a sandboxed frame: eviction stays possible, nothing else changes.
    }
  })();
  return persistence;
}

export function isQuotaError(error: unknown): boolean {
  return error instanceof Error && error.name === 'QuotaExceededError';
}

/**
 * What Chrome answers since version 138 whatever there is, so that a page cannot tell a private window by it; writes are held
 * to the real quota, which is usually far larger. Source: "Predictable reported storage quota", chromestatus 4977371751645184.
 */
const FEIGNED_FREE_BYTES = 10 * 2 ** 30;

/** By the browser's estimate; undefined where it tells nothing. */
export async function freeBytes(): Promise<number | undefined> {
  try {
    const { quota, usage } = (await globalThis.navigator?.storage?.estimate?.()) ?? {};
    const free = quota === undefined || usage === undefined ? undefined : Math.max(0, quota - usage);
    return free === FEIGNED_FREE_BYTES ? undefined : free;
  } catch {
    return undefined; // An estimate is a courtesy of the browser; the write itself tells for certain.
  }
}

export function quotaExceeded(file: string, needed: number, free: number | undefined): QwenError {
  // The browser's estimate may promise room that its writes then refuse: told here, it would contradict the rest.
  const room = free === undefined || free >= needed ? '' : `; ${megabytes(free)} are available to this site`;
  return new QwenError(
    'quota-exceeded',
    `There is no room left to store ${file}: ${megabytes(needed)} are still to come${room}. What is stored already is kept. ` +
      `Delete other stored models, free disk space, or load with store: 'none', which downloads again on every visit.`,
    { file },
  );
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}

/** Waits for what a store does, and says in our words why it failed. @param unavailable for all but a lack of room */
export async function storeWork<T>(work: Promise<T>, unavailable: (cause: unknown) => QwenError): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw isQuotaError(error) ? quotaExceeded('the list of files', 0, await freeBytes()) : unavailable(error);
  }
}

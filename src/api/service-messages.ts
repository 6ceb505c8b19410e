/**
 * How a service worker and the page that has an engine speak about one request, over a port of its own. The worker asks all
 * pages; one that has an engine says so; the worker sends the request to the first, which answers with the head of the
 * response and then with a piece for every `pull`.
 */

/** What the worker sends to each page, with a port. */
export const ASK = 'qwen-webgpu:request';

/** Begins the name of the Web Lock that a page holds as long as it answers: held locks tell whether any does. */
export const LOCK = 'qwen-webgpu:engine';

/** From the worker. */
export type ToPage =
  | { type: 'request'; url: string; method: string; headers: [string, string][]; body: ArrayBuffer | null }
  | { type: 'pull' }
  | { type: 'abort' };

/** From the page. */
export type ToWorker =
  | { type: 'here'; lock: string }
  | { type: 'response'; status: number; headers: [string, string][] }
  | { type: 'chunk'; bytes: Uint8Array<ArrayBuffer> }
  | { type: 'end' }
  | { type: 'error'; message: string };

/**
 * Lets the page work without a network once it was loaded, and gives every tab `v1/…` of the engine that one of them has.
 * Models are not its business: they come from their own store.
 *
 * A new build is fetched beside the old one and waits; the page offers to reload, and only then, or when no tab shows the old
 * one any more, does it take over.
 */

import { handleEngineRequest } from '../../src/api/service-worker.ts';
import { SKIP_WAITING } from './messages.ts';
import { Precache } from './precache.ts';

/** TypeScript's DOM types leave these to workers. */
interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEvent extends ExtendableEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
interface ServiceWorkerEvents {
  install: ExtendableEvent;
  activate: ExtendableEvent;
  fetch: FetchEvent;
  message: MessageEvent;
}
interface ServiceWorkerScope {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener<K extends keyof ServiceWorkerEvents>(
    type: K,
    listener: (event: ServiceWorkerEvents[K]) => void,
  ): void;
}

const worker = globalThis as unknown as ServiceWorkerScope;
const { version, files } = __BUILD__;
const precache = new Precache(caches, worker.registration.scope, version, files);

worker.addEventListener('install', (event) => {
  event.waitUntil(precache.install((url) => fetch(url, { cache: 'no-cache' })));
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(precache.activate().then(() => worker.clients.claim()));
});

worker.addEventListener('fetch', (event) => {
  if (handleEngineRequest(event)) return;
  const { url, method, mode } = event.request;
  const isNavigation = mode === 'navigate';
  // All else goes its own way: models, other pages of this server, and whoever else listens here.
  if (method !== 'GET' || !precache.knows(url, isNavigation)) return;
  event.respondWith(precache.answer(url, isNavigation).then((file) => file ?? fetch(event.request)));
});

worker.addEventListener('message', ({ data }) => {
  if (data === SKIP_WAITING) void worker.skipWaiting();
});

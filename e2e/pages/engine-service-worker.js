/** The least that a service worker needs to answer `/v1/…` by a page's engine. */
import { handleEngineRequest } from '/lib/service-worker.js';

addEventListener('install', () => skipWaiting());
addEventListener('activate', (event) => event.waitUntil(clients.claim()));
addEventListener('fetch', handleEngineRequest);

/** The same as a classic script, in a worker that answers other requests too. */
importScripts('/lib/service-worker.classic.js');

addEventListener('install', () => skipWaiting());
addEventListener('activate', (event) => event.waitUntil(clients.claim()));
addEventListener('fetch', (event) => {
  if (qwenServiceWorker.handleEngineRequest(event)) return;
  if (new URL(event.request.url).pathname === '/own') event.respondWith(new Response('of its own'));
});

/** From the page to a service worker that waits: the reader wants it now. */
export const SKIP_WAITING = 'skip-waiting';

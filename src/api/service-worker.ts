/**
 * For a service worker: requests to `v1/` of its scope are answered by a page that has an engine, so that a plain
 * `fetch('/v1/chat/completions')` works in every tab, with any client.
 *
 * The engine itself is not here. A browser stops a service worker when it has had nothing to do for half a minute, and with
 * it would go gigabytes on the GPU; and not every browser with WebGPU has it in service workers.
 */
import type { ApiErrorBody } from './fetch.ts';
import { ASK, LOCK, type ToPage, type ToWorker } from './service-messages.ts';

/** As much of a `FetchEvent` as is needed here. */
export interface EngineFetchEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
  waitUntil(promise: Promise<unknown>): void;
}

/** As much of a service worker's global scope as is needed here. */
interface WorkerScope {
  readonly registration: { readonly scope: string };
  readonly clients: {
    matchAll(options: { type: 'window'; includeUncontrolled: true }): Promise<readonly Pick<Worker, 'postMessage'>[]>;
  };
}

/** A page whose thread is this long at something else is not waited for. */
const PATIENCE_MS = 10_000;

/**
 * Answers a `fetch` event if it asks for `v1/…` of the worker's scope, and says whether it does: a worker that does more
 * goes on with the others.
 *
 * @example
 * addEventListener('fetch', handleEngineRequest);
 * @example
 * addEventListener('fetch', (event) => handleEngineRequest(event) || answerFromCache(event));
 */
export function handleEngineRequest(event: EngineFetchEvent): boolean {
  const { registration } = globalThis as unknown as WorkerScope;
  if (!event.request.url.startsWith(new URL('v1/', registration.scope).href)) return false;
  const { response, done } = forward(event.request);
  event.respondWith(response);
  event.waitUntil(done); // of the whole body
  return true;
}

/** `done` settles when nothing is to be done for the request any more. */
function forward(request: Request): { response: Promise<Response>; done: Promise<void> } {
  let settle = () => {};
  const done = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const answer = async () => {
    const page = await pageWithEngine();
    if (page) return page.answer(request, settle);
    settle();
    return unavailable('No page has an engine now. Open the one that loads it.');
  };
  const response = answer();
  response.catch(settle);
  return { response, done };
}

/** The first to say that it has one. */
async function pageWithEngine(): Promise<Page | undefined> {
  // A page that is closed or crashes lets go of its locks, and none has to be asked where none is held.
  const { held = [] } = await navigator.locks.query();
  if (!held.some(({ name }) => name?.startsWith(LOCK))) return undefined;
  const pages = await (globalThis as unknown as WorkerScope).clients.matchAll({
    type: 'window',
    includeUncontrolled: true,
  });
  const asked = pages.map((page) => {
    const { port1, port2 } = new MessageChannel();
    page.postMessage({ type: ASK }, [port2]);
    return port1;
  });
  const here = asked.map(
    (port) =>
      new Promise<Page>((resolve) => {
        port.onmessage = ({ data }: MessageEvent<ToWorker>) => {
          if (data.type === 'here') resolve(new Page(port, data.lock));
        };
      }),
  );
  const tooLate = new Promise<undefined>((resolve) => setTimeout(resolve, PATIENCE_MS));
  const first = await Promise.race([...here, tooLate]);
  for (const port of asked) {
    if (port === first?.port) continue;
    port.postMessage({ type: 'abort' } satisfies ToPage);
    port.close();
  }
  return first;
}

/** A page that has an engine, and will answer one request. */
class Page {
  constructor(
    readonly port: MessagePort,
    private readonly lock: string,
  ) {}

  async answer(request: Request, onEnd: () => void): Promise<Response> {
    const body = request.method === 'GET' || request.method === 'HEAD' ? null : await request.arrayBuffer();
    const ended = new AbortController();
    let stream: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;
    const end = () => {
      ended.abort();
      this.port.close();
      onEnd();
    };
    const abort = () => {
      this.send({ type: 'abort' });
      end();
    };
    return new Promise<Response>((resolve, reject) => {
      const fail = (error: unknown) => {
        if (ended.signal.aborted) return;
        reject(error);
        stream?.error(error);
        end();
      };
      this.port.onmessage = ({ data }: MessageEvent<ToWorker>) => {
        if (data.type === 'chunk') stream?.enqueue(data.bytes);
        if (data.type === 'error') fail(new TypeError(data.message));
        if (data.type === 'end') {
          stream?.close();
          end();
        }
        if (data.type !== 'response') return;
        const { status, headers } = data;
        const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
          {
            start: (controller) => {
              stream = controller;
            },
            pull: () => this.send({ type: 'pull' }),
            cancel: abort,
          },
          { highWaterMark: 0 },
        );
        resolve(new Response(body, { status, headers }));
      };
      // Before the head of the response this alone tells of an abort, and Chromium does not (seen with version 156).
      request.signal.addEventListener('abort', () => {
        if (ended.signal.aborted) return;
        this.send({ type: 'abort' });
        fail(request.signal.reason);
      });
      this.whenGone(ended.signal, () => fail(new TypeError('The page with the engine was closed.')));
      const { url, method } = request;
      this.send({ type: 'request', url, method, headers: [...request.headers], body });
    });
  }

  private send(message: ToPage): void {
    this.port.postMessage(message);
  }

  /** The page lets go of its lock when it is closed, crashes, or stops answering. */
  private whenGone(signal: AbortSignal, then: () => void): void {
    navigator.locks.request(this.lock, { signal }, then).catch(() => {}); // the request has ended before
  }
}

/** In the words of an engine that is gone. */
function unavailable(message: string): Response {
  const body: ApiErrorBody = { error: { message, type: 'server_error', param: null, code: 'no-engine' } };
  return Response.json(body, { status: 503, headers: { 'x-should-retry': 'false' } });
}

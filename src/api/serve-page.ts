/** A page's half of `service-worker.ts`: it lets the worker's requests be answered by its engine. */
import { messageOf, QwenError } from '../errors.ts';
import { ASK, LOCK, type ToPage, type ToWorker } from './service-messages.ts';

/**
 * Answers the requests that this origin's service worker gets for `v1/…`, from this and other tabs, until the returned
 * function is called or the page is closed. The worker is the page's to register, and calls `handleEngineRequest` of
 * `qwen-webgpu/service-worker`.
 *
 * @param engine an `Engine`, or whatever has a `fetch` like its
 * @throws QwenError `no-service-worker` where pages have none
 */
export async function serveFromServiceWorker(engine: { readonly fetch: typeof globalThis.fetch }): Promise<() => void> {
  const container = globalThis.navigator?.serviceWorker;
  if (!container) {
    throw new QwenError(
      'no-service-worker',
      'There are no service workers here. Open the page over https or from localhost, and not in a private window.',
    );
  }
  const lock = `${LOCK} ${crypto.randomUUID()}`;
  const stopped = new AbortController();
  const onMessage = ({ data, ports: [port] }: MessageEvent) => {
    if (data?.type === ASK && port) answer(engine, port, lock, stopped.signal);
  };
  await held(lock, stopped.signal);
  container.addEventListener('message', onMessage);
  container.startMessages();
  return () => {
    container.removeEventListener('message', onMessage);
    stopped.abort();
  };
}

/** Resolves when the lock is held, which it is until the signal. */
function held(lock: string, until: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const untilStopped = () => {
      resolve();
      return new Promise<void>((release) => until.addEventListener('abort', () => release(), { once: true }));
    };
    navigator.locks.request(lock, untilStopped).catch(reject);
  });
}

/** One request, if this page is the one to get it. */
function answer(
  engine: { readonly fetch: typeof globalThis.fetch },
  port: MessagePort,
  lock: string,
  stopped: AbortSignal,
): void {
  const controller = new AbortController();
  const abort = () => controller.abort();
  stopped.addEventListener('abort', abort);
  let reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  const send = (message: ToWorker, transfer: Transferable[] = []) => port.postMessage(message, transfer);
  const end = () => {
    stopped.removeEventListener('abort', abort);
    port.close();
  };
  const steps: { [Type in ToPage['type']]: (message: Extract<ToPage, { type: Type }>) => unknown } = {
    request: async ({ url, method, headers, body }) => {
      const request = new Request(url, { method, headers, body, signal: controller.signal });
      const response = await engine.fetch(request);
      reader = response.body?.getReader() as typeof reader;
      send({ type: 'response', status: response.status, headers: [...response.headers] });
    },
    pull: async () => {
      const { value, done } = (await reader?.read()) ?? { done: true };
      if (value) send({ type: 'chunk', bytes: value }, [value.buffer]);
      if (!done) return;
      send({ type: 'end' });
      end();
    },
    abort: () => {
      abort();
      end();
    },
  };
  port.onmessage = async ({ data }: MessageEvent<ToPage>) => {
    try {
      await (steps[data.type] as (message: ToPage) => unknown)(data);
    } catch (error) {
      if (!controller.signal.aborted) send({ type: 'error', message: messageOf(error) });
      end();
    }
  };
  send({ type: 'here', lock });
}

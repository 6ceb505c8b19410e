/** An `EngineService` in a worker. */
import { proxy, transfer, wrap } from 'comlink';
import { QwenError } from '../errors.ts';
import { bitmapsIn, bitmapsOf } from './page-media.ts';
import type { EngineService } from './service.ts';
import { startEngineWorker } from './start-worker.ts';
import { keepErrorClasses } from './wire.ts';

/** How long a worker may take to give its memory back before it is ended anyway. */
const DISPOSE_GRACE_MS = 2000;

/** @param onCrash the worker is gone: whatever waits for it waits in vain */
export function startWorkerService(onCrash: (error: QwenError) => void): EngineService {
  keepErrorClasses();
  const worker = startEngineWorker();
  const crash = (event: Event) => {
    worker.terminate();
    onCrash(crashed(event));
  };
  worker.addEventListener('error', crash);
  worker.addEventListener('messageerror', crash);

  const remote = wrap<EngineService>(worker);
  return {
    load: (id, options, onProgress) => remote.load(id, options, onProgress && proxy(onProgress)),
    chat: (id, request, onChunk, page) =>
      remote.chat(
        id,
        page ? transfer(request, bitmapsOf(request)) : request,
        onChunk && proxy(onChunk),
        page && proxy(page),
      ),
    complete: (id, request, onChunk) => remote.complete(id, request, onChunk && proxy(onChunk)),
    countMediaTokens: (id, part, page) => remote.countMediaTokens(id, transfer(part, bitmapsIn([part])), proxy(page)),
    logits: (id, ids, all) => remote.logits(id, ids, all),
    trace: (id, ids, tokens) => remote.trace(id, ids, tokens),
    tokenize: (text, options) => remote.tokenize(text, options),
    detokenize: (ids, options) => remote.detokenize(ids, options),
    stats: () => remote.stats(),
    abort: (id) => remote.abort(id),
    async dispose() {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const patience = new Promise((resolve) => {
        timer = setTimeout(resolve, DISPOSE_GRACE_MS);
      });
      try {
        await Promise.race([remote.dispose(), patience]);
      } finally {
        clearTimeout(timer);
        worker.terminate();
      }
    },
  };
}

function crashed(event: Event): QwenError {
  const message = 'message' in event && typeof event.message === 'string' && event.message !== '' ? event.message : '';
  const what = message === '' ? 'could not be started, or ran out of memory' : `failed: ${message}`;
  return new QwenError(
    'worker-crashed',
    `The engine's worker ${what}. Load the model again; if it happens again, try a smaller model or contextLength, and check that the page may load the worker's script (CSP worker-src).`,
  );
}

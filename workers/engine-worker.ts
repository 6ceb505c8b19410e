/** The engine in a worker: everything heavy happens here. By another name, the worker that reads its files. */
import { expose, transfer } from 'comlink';
import { EngineHost } from '../src/api/engine-host.ts';
import type { Reply } from '../src/api/service.ts';
import { keepErrorClasses } from '../src/api/wire.ts';
import { loadTokenModel } from '../src/engine/index.ts';
import { provideStorageWorker } from '../src/weights/index.ts';
import { STORAGE_WORKER, serveOpfsFiles } from '../src/weights/opfs-files.ts';
import { startWorker } from '../src/weights/start-worker.ts';

class WorkerHost extends EngineHost {
  /** A long prompt's logits are hundreds of megabytes: moved, not copied. */
  override async logits(...call: Parameters<EngineHost['logits']>): Promise<Reply<Float32Array>> {
    const reply = await super.logits(...call);
    return transfer(reply, [reply.result.buffer]);
  }
}

keepErrorClasses();
if (self.name === STORAGE_WORKER) {
  serveOpfsFiles();
} else {
  // This script once more: a script of its own would have to lie beside this one, wherever a bundler copies it.
  provideStorageWorker(() => startWorker(new URL(import.meta.url), STORAGE_WORKER));
  expose(new WorkerHost(loadTokenModel));
}

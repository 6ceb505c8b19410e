/** The engine in a worker: everything heavy happens here. */
import { expose, transfer } from 'comlink';
import { EngineHost } from '../src/api/engine-host.ts';
import type { Reply } from '../src/api/service.ts';
import { keepErrorClasses } from '../src/api/wire.ts';
import { loadTokenModel } from '../src/engine/index.ts';

class WorkerHost extends EngineHost {
  /** A long prompt's logits are hundreds of megabytes: moved, not copied. */
  override async logits(...call: Parameters<EngineHost['logits']>): Promise<Reply<Float32Array>> {
    const reply = await super.logits(...call);
    return transfer(reply, [reply.result.buffer]);
  }
}

keepErrorClasses();
expose(new WorkerHost(loadTokenModel));

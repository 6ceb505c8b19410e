/** Plain requests of any tab to `v1/…` beside the page, which the service worker brings to the tab that has the engine. */
import type { ChatEngine } from '../../src/ui/qwen-chat.ts';

/** An engine as the library makes it; what stands for another tab's has no `fetch`. */
type FetchingEngine = ChatEngine & { readonly fetch: typeof globalThis.fetch };

export class ServedRequests {
  private engine?: FetchingEngine;
  private stop: Promise<() => void> = Promise.resolve(() => {});

  /** @param engine what this tab answers by from now on; undefined ends what is being answered */
  use(engine: ChatEngine | undefined): void {
    const own = engine && 'fetch' in engine ? (engine as FetchingEngine) : undefined;
    if (own === this.engine) return;
    this.engine = own;
    void this.stop.then((stop) => stop());
    this.stop = own ? serve(own) : Promise.resolve(() => {});
  }
}

async function serve(engine: FetchingEngine): Promise<() => void> {
  try {
    const { serveFromServiceWorker } = await import('../../src/index.ts');
    return await serveFromServiceWorker(engine);
  } catch (error) {
    // As in a private window: the chat itself needs no service worker.
    console.warn('Requests to v1/ have no answer here:', error);
    return () => {};
  }
}

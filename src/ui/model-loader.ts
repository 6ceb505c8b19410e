/** Which engine answers, and how it came: loaded here and then ours to dispose, or given and somebody else's. */
import type { LoadProgress } from '../engine/types.ts';
import type { ChatEngine } from './chat-engine.ts';

export type Loading =
  | { readonly kind: 'none' }
  | { readonly kind: 'loading'; readonly name: string; readonly progress?: LoadProgress }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The name is kept: an engine that was disposed elsewhere does not tell it any more. */
  | { readonly kind: 'ready'; readonly name: string };

/** An engine that is not there yet: a model to load, or a server to ask. */
export interface EngineSource {
  /** What to call it meanwhile. */
  readonly name: string;
  open(onProgress: (progress: LoadProgress) => void, signal: AbortSignal): Promise<ChatEngine>;
}

export interface LoadListener {
  /** `engine` or `state` is another. */
  changed(): void;
  progress(progress: LoadProgress): void;
  failed(error: unknown): void;
}

export class ModelLoader {
  engine?: ChatEngine;
  state: Loading = { kind: 'none' };
  private own?: ChatEngine;
  private running?: AbortController;

  constructor(private readonly listener: LoadListener) {}

  /** The engine comes from outside. */
  get given(): boolean {
    return this.engine !== undefined && this.engine !== this.own;
  }

  /** Takes an engine that was loaded elsewhere, in place of whatever is here. */
  give(engine: ChatEngine | undefined): void {
    this.running?.abort();
    this.running = undefined;
    void this.disposeOwn();
    this.set(engine, engine ? { kind: 'ready', name: engine.info.name } : { kind: 'none' });
  }

  /** Unloads what was loaded here, then loads. Resolves with undefined if that fails, is stopped, or is overtaken. */
  async load({ name, open }: EngineSource): Promise<ChatEngine | undefined> {
    this.running?.abort();
    const running = new AbortController();
    const { signal } = running;
    this.running = running;
    this.set(undefined, { kind: 'loading', name });
    const onProgress = (progress: LoadProgress) => {
      if (signal.aborted) return;
      this.set(undefined, { kind: 'loading', name, progress });
      this.listener.progress(progress);
    };
    try {
      await this.disposeOwn();
      const engine = await open(onProgress, signal);
      if (signal.aborted) {
        await engine.dispose();
        signal.throwIfAborted();
      }
      this.own = engine;
      this.set(engine, { kind: 'ready', name: engine.info.name });
      return engine;
    } catch (error) {
      if (this.running !== running) return undefined;
      this.set(undefined, signal.aborted ? { kind: 'stopped' } : { kind: 'failed', error });
      if (!signal.aborted) this.listener.failed(error);
      return undefined;
    } finally {
      if (this.running === running) this.running = undefined;
    }
  }

  /** Stops loading; what is stored already stays. */
  stop(): void {
    this.running?.abort();
  }

  /** Stops loading and frees what was loaded here. */
  release(): void {
    this.stop();
    if (!this.given) this.set(undefined, { kind: 'none' });
    void this.disposeOwn();
  }

  private set(engine: ChatEngine | undefined, state: Loading): void {
    this.engine = engine;
    this.state = state;
    this.listener.changed();
  }

  private async disposeOwn(): Promise<void> {
    const { own } = this;
    this.own = undefined;
    await own?.dispose();
  }
}

/** Checks and downloads of stored models. They go on while the panel that shows them is closed. */
import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { messageOf } from '../src/errors.ts';
import type { StoredFile } from '../src/index.ts';
import { strings } from './strings.ts';

type Stored = Pick<StoredFile, 'url' | 'store'>;

/** What is done to a file now, or how that ended. */
export type StoredWork =
  | { readonly kind: 'verify' | 'download'; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly kind: 'ended'; readonly text: string; readonly failed?: boolean };

export class StoredWorks implements ReactiveController {
  /** Another map whenever something in it changed. */
  all: ReadonlyMap<string, StoredWork> = new Map();
  private readonly running = new Map<string, AbortController>();

  /** @param changed something was stored or dropped */
  constructor(
    private readonly host: ReactiveControllerHost,
    private readonly changed: () => Promise<void>,
  ) {
    host.addController(this);
  }

  hostConnected(): void {}

  /** Compares what is stored with its hashes, and fetches again what was damaged. */
  async verify(file: Stored): Promise<void> {
    await this.run(file, 'verify', async (options) => {
      const { verifyStored } = await import('../src/index.ts');
      try {
        await verifyStored(file.url, options);
        return strings.intact;
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'store-corrupt') throw error;
        await this.changed();
        return this.repair(file, error);
      }
    });
  }

  /** Fetches what is missing. */
  async download(file: Stored): Promise<void> {
    await this.run(file, 'download', async (options) => {
      await this.fetchMissing(file, options);
      return strings.downloaded;
    });
  }

  /** Ends what is done to a file; a download goes on later from where it is. */
  stop(file: Stored): void {
    this.running.get(keyOf(file))?.abort();
  }

  /** A file that is deleted has nothing more to tell. */
  forget(file: Stored): void {
    this.stop(file);
    this.set(file, undefined);
  }

  private async repair(file: Stored, damage: unknown): Promise<string> {
    try {
      await this.fetchMissing(file, this.options(file, 'download'));
      return strings.repaired;
    } catch (error) {
      throw new Error(`${messageOf(damage)} ${messageOf(error)}`);
    }
  }

  private async fetchMissing({ url }: Stored, options: ReturnType<StoredWorks['options']>): Promise<void> {
    const { downloadModel } = await import('../src/index.ts');
    await downloadModel(url, options);
  }

  private options(file: Stored, kind: 'verify' | 'download') {
    return {
      store: file.store,
      signal: this.running.get(keyOf(file))?.signal,
      onProgress: (progress: { doneBytes: number; totalBytes: number }) => this.set(file, { kind, ...progress }),
    };
  }

  private async run(
    file: Stored,
    kind: 'verify' | 'download',
    work: (options: ReturnType<StoredWorks['options']>) => Promise<string>,
  ): Promise<void> {
    const key = keyOf(file);
    if (this.running.has(key)) return;
    const controller = new AbortController();
    this.running.set(key, controller);
    this.set(file, { kind, doneBytes: 0, totalBytes: 0 });
    let ended: StoredWork | undefined;
    try {
      ended = { kind: 'ended', text: await work(this.options(file, kind)) };
    } catch (error) {
      if (!controller.signal.aborted) ended = { kind: 'ended', text: messageOf(error), failed: true };
    }
    this.running.delete(key);
    this.set(file, ended);
    await this.changed();
  }

  private set(file: Stored, work: StoredWork | undefined): void {
    const all = new Map(this.all);
    if (work) all.set(keyOf(file), work);
    else all.delete(keyOf(file));
    this.all = all;
    this.host.requestUpdate();
  }
}

export function keyOf({ url, store }: Stored): string {
  return `${store} ${url}`;
}

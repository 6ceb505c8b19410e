/** A guest's side: an engine for the chat that asks the tab which has the GPU. */
import { fromWire, QwenError, type WireError } from '../../src/errors.ts';
import type { ChatEngine } from '../../src/ui/qwen-chat.ts';
import type { GuestMessage, MediaReport, OwnerMessage, OwnerState, Stats } from './messages.ts';

interface Waiting {
  chunk(chunk: unknown): void;
  media(report: MediaReport): void;
  done(result: unknown): void;
  failed(error: unknown): void;
}

export class TabEngine implements ChatEngine {
  readonly info: ChatEngine['info'];
  readonly owner: string;
  readonly chat: ChatEngine['chat'] = { completions: { create: (...call) => this.create(...call) } };
  readonly countMediaTokens: ChatEngine['countMediaTokens'];
  private readonly waiting = new Map<string, Waiting>();
  private gone?: QwenError;

  constructor(
    { info, owner, counts }: OwnerState & { readonly info: ChatEngine['info'] },
    private readonly send: (message: GuestMessage) => void,
  ) {
    this.info = info;
    this.owner = owner;
    if (counts) this.countMediaTokens = (part) => this.ask((id) => ({ kind: 'count', id, part }));
  }

  receive(message: OwnerMessage): void {
    if (message.kind === 'state') return;
    const waiting = this.waiting.get(message.id);
    if (message.kind === 'chunk') waiting?.chunk(message.chunk);
    else if (message.kind === 'media') waiting?.media(message.report);
    else if (message.kind === 'done') waiting?.done(message.result);
    else waiting?.failed(fromWire(message.error as WireError));
  }

  stats(): Promise<Stats> {
    return this.ask((id) => ({ kind: 'stats', id }));
  }

  refreshStats(): Promise<Stats> {
    return this.stats();
  }

  /** The engine stays: it is the other tab's. */
  dispose(): void {}

  /** The tab that had the engine was closed, or has another one. */
  end(): void {
    this.gone = new QwenError(
      'worker-crashed',
      'The tab that ran the model was closed or has another one. Load the model again.',
    );
    for (const { failed } of this.waiting.values()) failed(this.gone);
  }

  private ask<T>(message: (id: string) => GuestMessage): Promise<T> {
    return new Promise((resolve, reject) => {
      const nothing = () => {};
      this.begin({ chunk: nothing, media: nothing, done: (result) => resolve(result as T), failed: reject }, message);
    });
  }

  private begin(waiting: Waiting, message: (id: string) => GuestMessage): string {
    if (this.gone) throw this.gone;
    const id = crypto.randomUUID();
    const ends =
      <A>(action: (argument: A) => void) =>
      (argument: A) => {
        this.waiting.delete(id);
        action(argument);
      };
    this.waiting.set(id, { ...waiting, done: ends(waiting.done), failed: ends(waiting.failed) });
    this.send(message(id));
    return id;
  }

  private create(
    ...[request, { signal, onMediaProgress } = {}]: Parameters<ChatEngine['chat']['completions']['create']>
  ) {
    type Chunks = Awaited<ReturnType<ChatEngine['chat']['completions']['create']>>;
    type Chunk = Chunks extends AsyncIterable<infer Each> ? Each : never;
    signal?.throwIfAborted();
    const stream = new ReadableStream<Chunk>({
      start: (controller) => {
        const id = this.begin(
          {
            chunk: (chunk) => controller.enqueue(chunk as Chunk),
            media: (report) => onMediaProgress?.(report),
            done: () => controller.close(),
            failed: (error) => controller.error(error),
          },
          (each) => ({ kind: 'chat', id: each, request }),
        );
        signal?.addEventListener('abort', () => {
          this.send({ kind: 'abort', id });
          this.waiting.get(id)?.failed(signal.reason);
        });
      },
    });
    return piecesOf(stream);
  }
}

/** Streams are not iterable everywhere yet. */
async function* piecesOf<T>(stream: ReadableStream<T>): AsyncGenerator<T> {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

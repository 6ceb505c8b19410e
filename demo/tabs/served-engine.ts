/** The owner's side: answers what other tabs ask of this tab's engine. */
import { QwenError, toWire } from '../../src/errors.ts';
import type { ChatEngine } from '../../src/ui/qwen-chat.ts';
import type { GuestMessage, OwnerMessage } from './messages.ts';

export class ServedEngine {
  private readonly running = new Map<string, AbortController>();

  constructor(
    private readonly engine: () => ChatEngine | undefined,
    private readonly send: (message: OwnerMessage) => void,
  ) {}

  receive(message: GuestMessage): void {
    if (message.kind === 'abort') this.running.get(message.id)?.abort();
    else if (message.kind === 'chat' || message.kind === 'count' || message.kind === 'stats') void this.answer(message);
  }

  /** Ends what is being answered: this tab gives the GPU away. */
  close(): void {
    for (const controller of this.running.values()) controller.abort();
  }

  private async answer(message: Extract<GuestMessage, { id: string }>): Promise<void> {
    const { id } = message;
    const controller = new AbortController();
    this.running.set(id, controller);
    try {
      this.send({ kind: 'done', id, result: await this.run(message, controller.signal) });
    } catch (error) {
      this.send({ kind: 'failed', id, error: toWire(error) });
    } finally {
      this.running.delete(id);
    }
  }

  private async run(message: Extract<GuestMessage, { id: string }>, signal: AbortSignal): Promise<unknown> {
    const engine = this.engine();
    if (!engine) throw new QwenError('disposed', 'The tab that ran the model has none at present.');
    const { id } = message;
    switch (message.kind) {
      case 'stats':
        return engine.refreshStats ? engine.refreshStats() : engine.stats();
      case 'count':
        return engine.countMediaTokens?.(message.part);
      case 'chat': {
        const onMediaProgress = (report: Extract<OwnerMessage, { kind: 'media' }>['report']) =>
          this.send({ kind: 'media', id, report });
        const chunks = await engine.chat.completions.create(message.request, { signal, onMediaProgress });
        for await (const chunk of chunks) this.send({ kind: 'chunk', id, chunk });
        return undefined;
      }
    }
  }
}

/** What is attached to the message being written: read, counted, refused, removed. It draws nothing. */
import { type Attachment, type MediaKind, mediaPart } from './attachment.ts';
import type { ChatEngine, MediaCost } from './chat-engine.ts';
import { describeError } from './error-text.ts';
import { checkFile, probeFile, Refusal } from './media-probe.ts';
import { strings } from './strings.ts';

/** Attachments of one message. More would take minutes to read on most devices. */
export const MAX_ATTACHMENTS = 8;

export interface DraftItem {
  readonly id: number;
  readonly kind: MediaKind;
  readonly name: string;
  /** Undefined while the file is being looked at. */
  readonly attachment?: Attachment;
  /** What the loaded model would need to read it. Undefined until counted, and without a model. */
  readonly cost?: MediaCost;
  /** Why the model will not take it. */
  readonly trouble?: string;
}

export interface DraftListener {
  changed(): void;
  /** A sentence for screen readers. */
  say(sentence: string): void;
}

/** The attachment with its cost; none while the file is being looked at. */
export function counted({ attachment, cost }: DraftItem): Attachment[] {
  return attachment ? [{ ...attachment, ...(cost && { tokens: cost.tokens, frames: cost.frames }) }] : [];
}

let lastId = 0;

export class MediaDraft {
  items: readonly DraftItem[] = [];
  /** Why files were not attached, the latest attempt's. */
  refusals: readonly string[] = [];
  private engine?: ChatEngine;

  constructor(private readonly listener: DraftListener) {}

  /** Every file has been looked at. */
  get settled(): boolean {
    return this.items.every(({ attachment }) => attachment !== undefined);
  }

  /** Sum of what is counted. */
  get tokens(): number {
    return this.items.reduce((sum, { cost }) => sum + (cost?.tokens ?? 0), 0);
  }

  get attachments(): readonly Attachment[] {
    return this.items.flatMap(counted);
  }

  set attachments(attachments: readonly Attachment[]) {
    this.refusals = [];
    this.items = attachments.map((attachment) => ({
      id: ++lastId,
      kind: attachment.kind,
      name: attachment.name,
      attachment,
    }));
    this.listener.changed();
    this.count();
  }

  /** Attaches what can be attached; why the rest is not stands in `refusals`. Resolves when all have been looked at. */
  async add(files: readonly File[]): Promise<void> {
    this.refusals = [];
    const accepted: { item: DraftItem; file: File }[] = [];
    for (const file of files) {
      try {
        const kind = checkFile(file);
        if (this.items.length + accepted.length >= MAX_ATTACHMENTS) {
          throw new Refusal(strings.tooMany(file.name, MAX_ATTACHMENTS));
        }
        accepted.push({ item: { id: ++lastId, kind, name: file.name }, file });
      } catch (error) {
        this.refuse(error, file.name);
      }
    }
    this.items = [...this.items, ...accepted.map(({ item }) => item)];
    this.listener.changed();
    await Promise.all(accepted.map(({ item, file }) => this.look(item, file)));
  }

  refuseAll(reason: string): void {
    this.refusals = [reason];
    this.listener.changed();
  }

  dismissRefusals(): void {
    this.refusals = [];
    this.listener.changed();
  }

  remove(id: number): void {
    const item = this.items.find((each) => each.id === id);
    if (!item) return;
    this.items = this.items.filter((each) => each.id !== id);
    this.refusals = [];
    this.listener.changed();
    this.listener.say(strings.removed(item.name));
  }

  /** The engine that will read them; what another one counted does not hold. */
  countFor(engine: ChatEngine | undefined): void {
    if (engine === this.engine) return;
    this.engine = engine;
    this.items = this.items.map((item) => ({ ...item, cost: undefined, trouble: undefined }));
    this.count();
  }

  private async look(item: DraftItem, file: File): Promise<void> {
    try {
      const attachment = await probeFile(file, item.kind);
      this.change(item.id, { attachment });
      if (this.items.some(({ id }) => id === item.id)) this.listener.say(strings.attached(item.name));
    } catch (error) {
      this.items = this.items.filter(({ id }) => id !== item.id);
      this.refuse(error, item.name);
      this.listener.changed();
    }
    this.count();
  }

  private refuse(error: unknown, name: string): void {
    const reason = error instanceof Refusal ? error.message : strings.unreadable.image(name);
    this.refusals = [...this.refusals, reason];
  }

  /** Asks the engine about everything that it has not been asked about. */
  private count(): void {
    const { engine } = this;
    if (!engine?.countMediaTokens || !engine.info.vision) return;
    for (const { id, attachment, cost, trouble } of this.items) {
      if (attachment && !cost && !trouble) void this.countOne(engine, id, attachment);
    }
  }

  private readonly counting = new Map<number, ChatEngine>();

  private async countOne(engine: ChatEngine, id: number, attachment: Attachment): Promise<void> {
    if (this.counting.get(id) === engine) return;
    this.counting.set(id, engine);
    try {
      const cost = await engine.countMediaTokens?.(mediaPart(attachment));
      if (engine === this.engine) this.change(id, { cost });
    } catch (error) {
      if (engine === this.engine) this.change(id, { trouble: describeError(error).message });
    } finally {
      if (this.counting.get(id) === engine) this.counting.delete(id);
    }
  }

  private change(id: number, changes: Partial<DraftItem>): void {
    this.items = this.items.map((item) => (item.id === id ? { ...item, ...changes } : item));
    this.listener.changed();
  }
}

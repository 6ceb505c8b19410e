/** Keeps what is said in the chat: saves it as it grows, and brings back what was open in this tab. */
import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { messageOf } from '../../src/errors.ts';
import type { ConversationChange, QwenChat } from '../../src/ui/qwen-chat.ts';
import type { FiledConversation } from './file.ts';
import { type ConversationContent, ConversationStore, type ConversationSummary } from './store.ts';

/** How often a growing answer is saved, so that a crash loses no more; also where it stands still. */
const SAVE_EVERY_MS = 1000;
/** How long a deletion can be undone. */
const UNDO_MS = 30_000;
/** Of this tab: another one shows another conversation. */
const CURRENT = 'qwen-webgpu-demo conversation';

/** The conversation in the chat. */
interface Shown {
  /** Absent before it is saved for the first time. */
  summary?: ConversationSummary;
  /** What was saved or read last, to see whether there is anything new. */
  saved: string;
}

export class ConversationKeeper implements ReactiveController {
  list: readonly ConversationSummary[] = [];
  /** Deleted just now. */
  removed?: ConversationSummary;
  /** Why what is said is not kept: no room, or in words. */
  problem?: 'full' | { reason: string };

  private store?: ConversationStore;
  private timer?: ReturnType<typeof setInterval>;
  private undoTimer?: ReturnType<typeof setTimeout>;
  private shown: Shown = { saved: '' };
  private saving: Promise<void> = Promise.resolve();

  /** @param model name of the one that is loaded */
  constructor(
    private readonly host: ReactiveControllerHost,
    private readonly chat: () => QwenChat | undefined,
    private readonly model: () => string,
  ) {
    host.addController(this);
  }

  /** The one in the chat; undefined before its first message is kept. */
  get current(): ConversationSummary | undefined {
    return this.shown.summary;
  }

  hostConnected(): void {
    try {
      this.store = new ConversationStore(() => void this.refresh());
    } catch (error) {
      this.problem = { reason: messageOf(error) };
      return;
    }
    this.timer = setInterval(() => this.chat()?.busy && void this.save(), SAVE_EVERY_MS);
    document.addEventListener('visibilitychange', this.onHidden);
    window.addEventListener('pagehide', this.onHidden);
    void this.attempt(() => this.store?.purge());
  }

  hostDisconnected(): void {
    clearInterval(this.timer);
    clearTimeout(this.undoTimer);
    document.removeEventListener('visibilitychange', this.onHidden);
    window.removeEventListener('pagehide', this.onHidden);
    this.store?.close();
  }

  /** Shows the conversation that was open in this tab, and lists the others. */
  async restore(): Promise<void> {
    await this.refresh();
    const id = rememberedId();
    if (id && this.chat()?.messages.length === 0) await this.open(id);
  }

  /** Puts a conversation into the chat, in place of what is there. */
  async open(id: string): Promise<void> {
    await this.save();
    await this.attempt(async () => {
      const chat = this.chat();
      const conversation = await this.store?.read(id);
      if (!chat || !conversation) return this.refresh();
      const { messages: _, tree: __, ...summary } = conversation;
      putContent(chat, conversation);
      this.show({ summary, saved: signature(contentOf(chat)) });
    });
  }

  /** What comes next is another conversation. */
  async begin(): Promise<void> {
    await this.save();
    this.show({ saved: '' });
    this.chat()?.clear();
  }

  /** The conversation in the chat is another than before: more was said, or another one begins. */
  changed(change: ConversationChange): void {
    if (change === 'clear') this.show({ saved: '' });
    else void this.save();
  }

  /** Saves what is new. One after the other: each save knows the revision of the one before. */
  save(): Promise<void> {
    // What is in the chat now: it may show another conversation when the turn comes.
    const content = contentOf(this.chat());
    const { shown } = this;
    this.saving = this.saving.then(() => this.saveNow(content, shown));
    return this.saving;
  }

  async rename(id: string, title: string): Promise<void> {
    await this.attempt(async () => {
      const renamed = title.trim() === '' ? undefined : await this.store?.rename(id, title.trim());
      if (renamed && id === this.current?.id) this.shown.summary = renamed;
      await this.refresh();
    });
  }

  async remove(id: string): Promise<void> {
    await this.saving;
    await this.attempt(async () => {
      await this.forgetRemoved();
      this.removed = this.list.find((each) => each.id === id);
      await this.store?.remove(id);
      if (id === this.current?.id) {
        this.show({ saved: '' });
        this.chat()?.clear();
      }
      this.undoTimer = setTimeout(() => void this.forgetRemoved(), UNDO_MS);
      await this.refresh();
    });
  }

  async undoRemove(): Promise<void> {
    const { removed } = this;
    if (!removed) return;
    clearTimeout(this.undoTimer);
    this.removed = undefined;
    await this.attempt(async () => {
      await this.store?.restore(removed.id);
      await this.refresh();
    });
    if (contentOf(this.chat()).messages.length === 0) await this.open(removed.id);
  }

  /** Ids of those in which somebody says this. */
  async search(text: string): Promise<ReadonlySet<string>> {
    return (await this.attempt(() => this.store?.search(text))) ?? new Set();
  }

  /** One conversation whole, or all of them. */
  async read(id?: string): Promise<FiledConversation[]> {
    await this.save();
    const wanted = id === undefined ? this.list.map((each) => each.id) : [id];
    const all = await Promise.all(wanted.map((each) => this.store?.read(each)));
    return all.filter((each) => each !== undefined);
  }

  async add(conversations: readonly FiledConversation[]): Promise<void> {
    for (const conversation of conversations) await this.store?.add(conversation);
    await this.refresh();
  }

  private async saveNow(content: ConversationContent, shown: Shown): Promise<void> {
    const { store } = this;
    const now = signature(content);
    if (!store || content.messages.length === 0 || now === shown.saved) return;
    try {
      shown.summary = await store.save(shown.summary, content, this.model());
      shown.saved = now;
      this.problem = undefined;
      if (shown === this.shown) this.show(shown);
    } catch (error) {
      const full = error instanceof Error && error.name === 'QuotaExceededError';
      this.problem = full ? 'full' : { reason: messageOf(error) };
    }
    await this.refresh();
  }

  private show(shown: Shown): void {
    this.shown = shown;
    rememberId(shown.summary?.id);
    this.host.requestUpdate();
  }

  private async refresh(): Promise<void> {
    this.list = (await this.attempt(() => this.store?.list())) ?? this.list;
    this.host.requestUpdate();
  }

  private async forgetRemoved(): Promise<void> {
    clearTimeout(this.undoTimer);
    const { removed } = this;
    this.removed = undefined;
    if (removed) await this.attempt(() => this.store?.purge(removed.id));
    this.host.requestUpdate();
  }

  private async attempt<T>(work: () => Promise<T> | undefined): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.problem = { reason: messageOf(error) };
      this.host.requestUpdate();
      return undefined;
    }
  }

  private onHidden = (): void => {
    if (document.visibilityState === 'hidden') void this.save();
  };
}

function rememberedId(): string | null {
  try {
    return sessionStorage.getItem(CURRENT);
  } catch {
    return null; // Storage is forbidden here.
  }
}

function rememberId(id: string | undefined): void {
  try {
    if (id) sessionStorage.setItem(CURRENT, id);
    else sessionStorage.removeItem(CURRENT);
  } catch {
    // Forbidden: a reload begins a new conversation.
  }
}

function contentOf(chat: QwenChat | undefined): ConversationContent {
  return { messages: chat?.messages ?? [], tree: chat?.conversation };
}

function putContent(chat: QwenChat, { messages, tree }: ConversationContent): void {
  try {
    // The element checks it: a file may hold anything.
    if (tree) chat.conversation = tree as QwenChat['conversation'];
    else chat.messages = [...messages];
  } catch {
    chat.messages = [...messages];
  }
}

/** Differs when anything was said; of pictures it knows whether they are the same. */
function signature(content: ConversationContent): string {
  return JSON.stringify(content, (_, value) => (value instanceof Blob ? blobNumber(value) : value));
}

const blobNumbers = new WeakMap<Blob, number>();
let lastBlob = 0;

function blobNumber(blob: Blob): number {
  const known = blobNumbers.get(blob) ?? ++lastBlob;
  blobNumbers.set(blob, known);
  return known;
}

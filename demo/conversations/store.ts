/**
 * Conversations in IndexedDB, through idb-keyval: a summary, the messages, and each picture or video under a key of its
 * own, so that saving a growing answer does not write the pictures again.
 *
 * Tabs share them. A summary counts its revisions, and a tab that saves over one it has not seen saves a copy instead.
 */
import { createStore, promisifyRequest, type UseStore } from 'idb-keyval';
import type { ChatMessage } from '../../src/ui/qwen-chat.ts';
import { strings } from '../strings.ts';
import type { FiledConversation } from './file.ts';
import { withMedia, withReferences } from './media.ts';
import { textOf, titleOf } from './title.ts';

export interface ConversationSummary {
  readonly id: string;
  readonly title: string;
  /** The reader gave the title: it does not follow the first message. */
  readonly named: boolean;
  /** Milliseconds since 1970. */
  readonly created: number;
  readonly updated: number;
  /** Name of the model that answered last. */
  readonly model: string;
  readonly revision: number;
  /** When it was deleted, while that can be undone. */
  readonly deleted?: number;
}

export interface ConversationContent {
  /** As they are shown: for titles, for searching and for reading elsewhere. */
  readonly messages: readonly ChatMessage[];
  /** All of it with every branch, as the chat element gives and takes it. */
  readonly tree?: unknown;
}

export interface Conversation extends ConversationSummary, ConversationContent {}

const DATABASE = 'qwen-webgpu-conversations';
const CHANNEL = 'qwen-webgpu-demo conversations';
/** Longer than any page offers to undo a deletion. */
const DELETED_FOR_GOOD_MS = 120_000;

type Kind = 'summary' | 'content' | 'media';

export class ConversationStore {
  private readonly use: UseStore = createStore(DATABASE, 'conversations');
  private readonly channel = new BroadcastChannel(CHANNEL);
  /** Media that are stored, by `conversation key`. */
  private readonly keys = new WeakMap<Blob, string>();

  /** @param changed another tab changed something */
  constructor(changed: () => void) {
    this.channel.addEventListener('message', changed);
  }

  close(): void {
    this.channel.close();
  }

  /** Latest first, without those that are deleted. */
  async list(): Promise<ConversationSummary[]> {
    const all = await this.use('readonly', (store) =>
      promisifyRequest<ConversationSummary[]>(store.getAll(everyKeyUnder('summary'))),
    );
    return all.filter(({ deleted }) => !deleted).sort((a, b) => b.updated - a.updated);
  }

  async read(id: string): Promise<Conversation | undefined> {
    const [summary, packed, media] = await this.use('readonly', (store) =>
      Promise.all([
        promisifyRequest<ConversationSummary | undefined>(store.get(['summary', id])),
        promisifyRequest<unknown>(store.get(['content', id])),
        readMedia(store, id),
      ]),
    );
    if (!summary || summary.deleted || !packed) return undefined;
    for (const [key, blob] of media) this.keys.set(blob, `${id} ${key}`);
    return { ...summary, ...(withMedia(packed, (key) => media.get(key)) as ConversationContent) };
  }

  /**
   * Saves a conversation, under a new id if another tab saved it meanwhile.
   * @param known the summary as it was read or saved last; undefined for a new one
   * @throws DOMException `QuotaExceededError` and whatever else IndexedDB has to say; what was stored stays
   */
  async save(
    known: ConversationSummary | undefined,
    content: ConversationContent,
    model: string,
  ): Promise<ConversationSummary> {
    const saved = await this.use('readwrite', async (store) => {
      const stored =
        known && (await promisifyRequest<ConversationSummary | undefined>(store.get(['summary', known.id])));
      const overtaken = known && stored && stored.revision !== known.revision;
      const id = known && !overtaken ? known.id : crypto.randomUUID();
      const named = known?.named ?? false;
      const title = named && known ? known.title : titleOf(content.messages);
      const summary: ConversationSummary = {
        id,
        title: overtaken ? strings.copyOfTitle(title) : title,
        named: named || overtaken === true,
        created: known?.created ?? Date.now(),
        updated: Date.now(),
        model,
        revision: (overtaken ? 0 : (stored?.revision ?? 0)) + 1,
      };
      const fresh = new Map<string, Blob>();
      const used = new Set<string>();
      const packed = withReferences(content, (blob) => {
        const [owner, old] = this.keys.get(blob)?.split(' ') ?? [];
        const key = owner === id ? old : crypto.randomUUID();
        if (owner !== id) {
          fresh.set(key, blob);
          this.keys.set(blob, `${id} ${key}`);
        }
        used.add(key);
        return key;
      });
      try {
        for (const [key, blob] of fresh) store.put(blob, ['media', id, key]);
        store.put(packed, ['content', id]);
        store.put(summary, ['summary', id]);
        for (const key of await promisifyRequest(store.getAllKeys(everyKeyUnder('media', id)))) {
          if (!used.has((key as string[])[2])) store.delete(key);
        }
        await promisifyRequest(store.transaction);
      } catch (error) {
        for (const blob of fresh.values()) this.keys.delete(blob);
        throw error;
      }
      return summary;
    });
    this.tell();
    return saved;
  }

  /** Adds one that came from elsewhere, under an id of its own. */
  async add({ title, created, updated, model, messages, tree }: FiledConversation): Promise<void> {
    const saved = await this.save(undefined, { messages, tree }, model);
    await this.change(saved.id, { title, named: true, created, updated });
  }

  async rename(id: string, title: string): Promise<ConversationSummary | undefined> {
    return this.change(id, { title, named: true });
  }

  /** Hides it until `restore`, or until `purge` deletes it for good. */
  async remove(id: string): Promise<void> {
    await this.change(id, { deleted: Date.now() });
  }

  async restore(id: string): Promise<void> {
    await this.change(id, { deleted: undefined });
  }

  /** @param id of one that was removed; default: all that were removed so long ago that nobody offers to undo it */
  async purge(id?: string): Promise<void> {
    await this.use('readwrite', async (store) => {
      const all = await promisifyRequest<ConversationSummary[]>(store.getAll(everyKeyUnder('summary')));
      const before = Date.now() - DELETED_FOR_GOOD_MS;
      for (const { id: each, deleted } of all) {
        if (deleted === undefined || (id === undefined ? deleted > before : each !== id)) continue;
        store.delete(['summary', each]);
        store.delete(['content', each]);
        store.delete(everyKeyUnder('media', each));
      }
      await promisifyRequest(store.transaction);
    });
  }

  /** Ids of the conversations in which somebody says `text`, whatever its case. */
  async search(text: string): Promise<Set<string>> {
    const wanted = text.toLowerCase();
    const [keys, values] = await this.use('readonly', (store) =>
      Promise.all([
        promisifyRequest(store.getAllKeys(everyKeyUnder('content'))),
        promisifyRequest<ConversationContent[]>(store.getAll(everyKeyUnder('content'))),
      ]),
    );
    const found = keys.filter((_, i) => values[i].messages.some((each) => textOf(each).toLowerCase().includes(wanted)));
    return new Set(found.map((key) => (key as string[])[1]));
  }

  private async change(id: string, changes: Partial<ConversationSummary>): Promise<ConversationSummary | undefined> {
    const changed = await this.use('readwrite', async (store) => {
      const summary = await promisifyRequest<ConversationSummary | undefined>(store.get(['summary', id]));
      if (!summary) return undefined;
      const next = { ...summary, ...changes };
      store.put(next, ['summary', id]);
      await promisifyRequest(store.transaction);
      return next;
    });
    this.tell();
    return changed;
  }

  private tell(): void {
    this.channel.postMessage('changed');
  }
}

async function readMedia(store: IDBObjectStore, id: string): Promise<Map<string, Blob>> {
  const range = everyKeyUnder('media', id);
  const [keys, blobs] = await Promise.all([
    promisifyRequest(store.getAllKeys(range)),
    promisifyRequest<Blob[]>(store.getAll(range)),
  ]);
  return new Map(keys.map((key, i) => [(key as string[])[2], blobs[i]]));
}

function everyKeyUnder(kind: Kind, ...rest: readonly string[]): IDBKeyRange {
  return IDBKeyRange.bound([kind, ...rest], [kind, ...rest, []]); // An array sorts after any string.
}

/**
 * Conversations as files: JSON that gives back everything, and Markdown that is pleasant to read and can be read back.
 *
 * JSON holds what is shown in OpenAI's shape, and all branches beside it; pictures and videos stand once, in a list of their
 * own. Markdown holds what is shown, and marks where a message begins by comments, which readers of Markdown do not show; media
 * stand at the end, as definitions of links.
 */
import type { ChatContentPart, ChatMessage } from '../../src/ui/qwen-chat.ts';
import { strings } from '../strings.ts';
import { withMedia, withReferences } from './media.ts';
import type { ConversationContent, ConversationSummary } from './store.ts';
import { textOf, titleOf } from './title.ts';

/** What a file has of a conversation. */
export interface FiledConversation
  extends Pick<ConversationSummary, 'title' | 'created' | 'updated' | 'model'>,
    ConversationContent {}

export type ConversationFormat = 'json' | 'markdown';

const FORMAT = 'qwen-webgpu conversations';
const VERSION = 1;

/** A file with these conversations, named after the only one or after all. */
export async function writeConversations(
  conversations: readonly FiledConversation[],
  format: ConversationFormat,
): Promise<File> {
  const text = format === 'json' ? await toJson(conversations) : await toMarkdown(conversations);
  const title = conversations.length === 1 ? conversations[0].title : strings.conversations;
  const name = title.replace(/[\p{C}\s\\/:*?"<>|]+/gu, ' ').trim() || strings.conversations;
  const [end, type] = format === 'json' ? ['json', 'application/json'] : ['md', 'text/markdown'];
  return new File([text], `${name}.${end}`, { type });
}

/** @throws Error that says what is wrong with the file */
export async function readConversations(file: File): Promise<FiledConversation[]> {
  const text = await file.text();
  const conversations = /^\s*\{/.test(text) ? fromJson(text, file.name) : fromMarkdown(text);
  if (conversations.length === 0) throw new Error(strings.notConversations(file.name));
  return conversations;
}

// JSON

async function toJson(conversations: readonly FiledConversation[]): Promise<string> {
  const media: Blob[] = [];
  const keyOf = (blob: Blob) => String(media.includes(blob) ? media.indexOf(blob) : media.push(blob) - 1);
  const plain = conversations.map(({ title, created, updated, model, messages, tree }) => ({
    title,
    created: new Date(created).toISOString(),
    updated: new Date(updated).toISOString(),
    model,
    messages: withReferences(messages, keyOf),
    tree: withReferences(tree, keyOf),
  }));
  const file = {
    format: FORMAT,
    version: VERSION,
    conversations: plain,
    media: await Promise.all(media.map(addressOf)),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

function fromJson(text: string, name: string): FiledConversation[] {
  let file: Record<string, unknown>;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error(strings.damagedFile(name));
  }
  const { format, version, conversations, media = [] } = file;
  if (format !== FORMAT || !Array.isArray(conversations)) throw new Error(strings.notConversations(name));
  if (Number(version) > VERSION) throw new Error(strings.newerFile(name));
  if (!Array.isArray(media)) throw new Error(strings.damagedFile(name));
  const files = media.map((address) => fileOf(String(address), name));
  return conversations.map((each: Record<string, unknown>) => {
    const { messages, tree } = withMedia({ ...each }, (key) => files[Number(key)]) as Record<string, unknown>;
    if (!Array.isArray(messages)) throw new Error(strings.damagedFile(name));
    const content = { messages: messages.map((message) => readMessage(message, name)), tree };
    return filed(each, content);
  });
}

/** Nothing of a file is taken on trust: roles and shapes are looked at, and media must be in the file itself. The tree is the element's to check. */
function readMessage(value: unknown, name: string): ChatMessage {
  const { role, content, reasoning_content, tool_calls, tool_call_id } = (value ?? {}) as Record<string, unknown>;
  if (role !== 'user' && role !== 'assistant' && role !== 'tool') throw new Error(strings.damagedFile(name));
  const message: ChatMessage = { role, content: readParts(content, name) };
  if (typeof reasoning_content === 'string') message.reasoning_content = reasoning_content;
  if (typeof tool_call_id === 'string') message.tool_call_id = tool_call_id;
  if (Array.isArray(tool_calls)) {
    message.tool_calls = tool_calls.map((call) => ({
      id: String(call?.id),
      type: 'function',
      function: { name: String(call?.function?.name), arguments: String(call?.function?.arguments ?? '{}') },
    }));
  }
  return message;
}

function readParts(content: unknown, name: string): ChatMessage['content'] {
  if (!Array.isArray(content)) return typeof content === 'string' ? content : '';
  return content.map((part: Record<string, unknown>): ChatContentPart => {
    if (part?.type === 'text') return { type: 'text', text: String(part.text) };
    if (part?.type !== 'image_url' && part?.type !== 'video_url') throw new Error(strings.damagedFile(name));
    const url = (part[part.type] as { url?: unknown } | undefined)?.url;
    if (!(url instanceof File)) throw new Error(strings.damagedFile(name));
    return mediaPart(url);
  });
}

// Markdown

async function toMarkdown(conversations: readonly FiledConversation[]): Promise<string> {
  const addresses: string[] = [];
  const written: string[] = [];
  for (const { messages, ...facts } of conversations) {
    const { title, created, updated, model } = facts;
    const dates = { created: new Date(created).toISOString(), updated: new Date(updated).toISOString() };
    written.push(marker('conversation', { title, ...dates, model }), `# ${title.replaceAll('\n', ' ')}`);
    for (const message of messages) {
      written.push(marker(message.role, message.tool_call_id === undefined ? undefined : { id: message.tool_call_id }));
      written.push(`**${strings.speakers[message.role]}**`);
      if (message.reasoning_content) {
        written.push(marker('thoughts'), `<details><summary>${strings.thoughts}</summary>`);
        written.push(escaped(message.reasoning_content), '</details>', marker('answer'));
      }
      for (const part of typeof message.content === 'string' ? [] : message.content) {
        if (part.type === 'text') continue;
        const media = mediaOf(part);
        const label = media instanceof File ? media.name.replace(/[[\]\\]/g, ' ') : strings.unnamedMedia;
        const id = `media-${addresses.length + 1}`;
        addresses.push(`[${id}]: ${await addressOf(media)}`);
        written.push(`${part.type === 'image_url' ? '!' : ''}[${label}][${id}]`);
      }
      const text = textOf(message);
      if (text !== '') written.push(marker('text'), escaped(text));
      for (const { id, function: call } of message.tool_calls ?? []) {
        written.push(marker('call', { id, name: call.name }), `\`${call.name}\``, fence(call.arguments));
      }
    }
  }
  return `${[...written, ...addresses].join('\n\n')}\n`;
}

/** What a comment begins and what comes until the next, by its word. */
interface Section {
  readonly word: string;
  readonly facts: Record<string, unknown>;
  readonly text: string;
}

function fromMarkdown(text: string): FiledConversation[] {
  const addresses = new Map<string, string>();
  const body = text
    .replace(/\r\n/g, '\n')
    .replace(/^\[(media-\d+)\]: (data:\S+)\n*$/gm, (_, id: string, address: string) => {
      addresses.set(id, address);
      return '';
    });
  const conversations: { facts: Record<string, unknown>; messages: ChatMessage[] }[] = [];
  for (const { word, facts, text: content } of sectionsOf(body)) {
    if (word === 'conversation') conversations.push({ facts, messages: [] });
    const conversation = conversations.at(-1);
    if (!conversation) continue;
    const message = conversation.messages.at(-1);
    if (word === 'user' || word === 'assistant' || word === 'tool') {
      const media = [...content.matchAll(/^!?\[.*\]\[(media-\d+)\]$/gm)].flatMap(([, id]) => addresses.get(id) ?? []);
      const parts = media.map((address) => mediaPart(fileOf(address, strings.unnamedMedia)));
      conversation.messages.push({
        role: word,
        content: parts.length > 0 ? parts : '',
        ...(typeof facts.id === 'string' ? { tool_call_id: facts.id } : undefined),
      });
    } else if (!message) {
    } else if (word === 'answer') {
      // Pictures of an answer do not exist: nothing to read here.
    } else if (word === 'text') {
      const said = unescaped(content);
      if (typeof message.content === 'string') message.content = said;
      else message.content.push({ type: 'text', text: said });
    } else if (word === 'thoughts') {
      message.reasoning_content = unescaped(
        content.replace(/^<details>.*<\/summary>\s*/, '').replace(/\s*<\/details>$/, ''),
      );
    } else if (word === 'call') {
      const [, json = '{}'] = /^`{3,}json\n([\s\S]*)\n`{3,}$/m.exec(content) ?? [];
      message.tool_calls ??= [];
      message.tool_calls.push({
        id: String(facts.id),
        type: 'function',
        function: { name: String(facts.name), arguments: json },
      });
    }
  }
  return conversations.map(({ facts, messages }) => filed(facts, { messages }));
}

function sectionsOf(text: string): Section[] {
  const marks = [...text.matchAll(/^<!-- (\w+)(?: (\{.*\}))? -->$/gm)];
  return marks.map((mark, i) => {
    const { index = 0, 0: whole, 1: word, 2: json } = mark;
    return { word, facts: parseFacts(json), text: text.slice(index + whole.length, marks[i + 1]?.index).trim() };
  });
}

function parseFacts(json: string | undefined): Record<string, unknown> {
  try {
    return JSON.parse((json ?? '{}').replaceAll('--\\u003e', '-->')) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function marker(word: string, facts?: Record<string, string>): string {
  return `<!-- ${word}${facts ? ` ${JSON.stringify(facts).replaceAll('-->', '--\\u003e')}` : ''} -->`;
}

/** A line that looks like one of the marks gets a backslash, and one that has backslashes already gets one more. */
const escaped = (text: string) => text.replace(/^(\\*)(<!-- \w+(?: \{.*\})? -->|\[media-\d+\]: data:)/gm, '\\$1$2');
const unescaped = (text: string) => text.replace(/^\\(\\*(?:<!-- \w+(?: \{.*\})? -->|\[media-\d+\]: data:))/gm, '$1');

function fence(json: string): string {
  const longest = Math.max(2, ...[...json.matchAll(/`+/g)].map(([run]) => run.length));
  const ticks = '`'.repeat(longest + 1);
  return `${ticks}json\n${json}\n${ticks}`;
}

// Both

function filed(facts: Record<string, unknown>, content: ConversationContent): FiledConversation {
  const { title, created, updated, model } = facts;
  const time = (value: unknown) => {
    const parsed = Date.parse(String(value));
    return Number.isNaN(parsed) ? Date.now() : parsed;
  };
  return {
    title: typeof title === 'string' && title.trim() !== '' ? title : titleOf(content.messages),
    created: time(created),
    updated: time(updated),
    model: typeof model === 'string' ? model : '',
    ...content,
  };
}

function mediaOf(part: Exclude<ChatContentPart, { type: 'text' }>): string | Blob {
  return part.type === 'image_url' ? part.image_url.url : part.video_url.url;
}

function mediaPart(url: File): ChatContentPart {
  return url.type.startsWith('video/')
    ? { type: 'video_url', video_url: { url } }
    : { type: 'image_url', image_url: { url } };
}

/** A `data:` address with the file's name as a parameter, which other readers pass over. */
async function addressOf(media: string | Blob): Promise<string> {
  if (typeof media === 'string') return media;
  const name = media instanceof File && media.name !== '' ? `;name=${encodeURIComponent(media.name)}` : '';
  const bytes = new Uint8Array(await media.arrayBuffer());
  let binary = '';
  for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return `data:${media.type || 'application/octet-stream'}${name};base64,${btoa(binary)}`;
}

/** @param name of the file it stands in, for an error and where it has no name of its own */
function fileOf(address: string, name: string): File {
  const [, type, given, base64] =
    /^data:((?:image|video)\/[\w.+-]+)(?:;name=([^;,]*))?;base64,([\w+/=]*)$/.exec(address) ?? [];
  if (base64 === undefined) throw new Error(strings.damagedFile(name));
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new File([bytes], given ? decodeURIComponent(given) : strings.unnamedMedia, { type });
}

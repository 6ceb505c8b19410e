/** Pictures and videos that go with a message: how they lie in OpenAI's content parts, and what is known of each. */
import type { ChatContentPart, ChatMediaPart } from './chat-engine.ts';
import { strings } from './strings.ts';

export type MediaKind = 'image' | 'video';

export interface Attachment {
  readonly id: number;
  readonly kind: MediaKind;
  /** What the model is given: a file, or the address that a page gave. */
  readonly source: string | Blob;
  readonly name: string;
  /** Pixels, as far as known. */
  readonly width?: number;
  readonly height?: number;
  /** Of a video. */
  readonly seconds?: number;
  /** What stands for it where it is shown small: itself, a smaller copy, or a frame. */
  readonly preview?: string | Blob;
  /** What it takes of the context, once the engine has counted. */
  readonly tokens?: number;
  /** Of a video: pictures that the model sees of it. */
  readonly frames?: number;
}

let lastId = 0;

export function nextAttachmentId(): number {
  return ++lastId;
}

export function mediaPart({ kind, source: url }: Attachment): ChatMediaPart {
  return kind === 'image' ? { type: 'image_url', image_url: { url } } : { type: 'video_url', video_url: { url } };
}

/** What the model is told: the pictures first, then what is said about them. */
export function messageContent(text: string, attachments: readonly Attachment[]): string | ChatContentPart[] {
  if (attachments.length === 0) return text;
  const parts = attachments.map(mediaPart);
  return text.trim() === '' ? parts : [...parts, { type: 'text', text }];
}

/** The other way round, for messages that a page gives. */
export function readContent(content: string | readonly ChatContentPart[]): {
  text: string;
  attachments: readonly Attachment[];
} {
  if (typeof content === 'string') return { text: content, attachments: [] };
  const texts: string[] = [];
  const attachments: Attachment[] = [];
  for (const part of content) {
    if (part.type === 'text') texts.push(part.text);
    else if (part.type === 'image_url') attachments.push(given('image', part.image_url.url));
    else attachments.push(given('video', part.video_url.url));
  }
  return { text: texts.join('\n'), attachments };
}

function given(kind: MediaKind, source: string | Blob): Attachment {
  return {
    id: nextAttachmentId(),
    kind,
    source,
    name: sourceName(source) || strings.unnamed[kind],
    preview: kind === 'image' ? source : undefined,
  };
}

/** The file's own name, or the end of its address; `data:` and `blob:` addresses have none. */
function sourceName(source: string | Blob): string {
  if (source instanceof Blob) return source instanceof File ? source.name : '';
  if (/^(data|blob):/i.test(source)) return '';
  return source.split(/[?#]/)[0].split('/').pop() ?? '';
}

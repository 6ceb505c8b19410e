import type { ChatMessage } from '../../src/ui/qwen-chat.ts';
import { strings } from '../strings.ts';

const MOST_CHARACTERS = 60;

/** The beginning of the first message, at a word's end; of one without words, the name of what it shows. */
export function titleOf(messages: readonly ChatMessage[]): string {
  const first = messages.find(({ role }) => role === 'user')?.content ?? '';
  const parts = typeof first === 'string' ? [{ type: 'text' as const, text: first }] : first;
  for (const part of parts) {
    const line =
      part.type === 'text'
        ? part.text
            .trim()
            .split('\n')[0]
            .replace(/^[#>*\s]+/, '')
            .trim()
        : '';
    if (line !== '') return shortened(line.replace(/\s+/g, ' '));
  }
  for (const part of parts) {
    const media = part.type === 'image_url' ? part.image_url.url : part.type === 'video_url' ? part.video_url.url : '';
    if (media instanceof File) return shortened(media.name);
  }
  return strings.untitled;
}

function shortened(text: string): string {
  if (text.length <= MOST_CHARACTERS) return text;
  const cut = text.slice(0, MOST_CHARACTERS);
  const space = cut.lastIndexOf(' ');
  return `${space > MOST_CHARACTERS / 2 ? cut.slice(0, space) : cut}…`;
}

/** What is said in a message, in words. */
export function textOf({ content }: ChatMessage): string {
  if (typeof content === 'string') return content;
  return content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
}

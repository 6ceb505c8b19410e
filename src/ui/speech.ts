/** What a screen reader hears of an answer: whole sentences, without Markdown's marks. */
import { strings } from './strings.ts';

/** Cuts a growing text into pieces that end where a sentence, a list item or a code block ends. */
export class SentenceReader {
  /** @param at where to begin */
  constructor(private at = 0) {}

  /** The sentences completed since the last call, ready to be spoken; empty if there is none. */
  next(text: string, finished = false): string {
    const end = finished ? text.length : lastSentenceEnd(text, this.at);
    if (end <= this.at) return '';
    const piece = text.slice(this.at, end);
    this.at = end;
    return speakable(piece);
  }
}

/** Offset after the last sentence that is complete in `text` from `from` on; `from` if none is. */
function lastSentenceEnd(text: string, from: number): number {
  const tail = text.slice(from);
  // Nothing is said of a code block until it is closed.
  const fences = [...tail.matchAll(/^ {0,3}```/gm)];
  const openFence = fences.length % 2 === 1 ? fences[fences.length - 1].index : tail.length;
  const closed = tail.slice(0, openFence);
  let end = 0;
  // A full stop inside a number or a name ("3.5", "e.g.x") is no end: white space must follow.
  for (const match of closed.matchAll(/[.!?…。！？]["'”’)*_]*(?=\s)|\n/g)) end = match.index + match[0].length;
  return from + end;
}

/** Markdown as one would read it out. */
export function speakable(markdown: string): string {
  return markdown
    .replace(/^ {0,3}```[^\n]*\n([\s\S]*?)^ {0,3}```[^\n]*$/gm, (_, code: string) =>
      strings.codeBlock(code.split('\n').length - 1),
    )
    .replace(/^\|?[\s:|-]*-{3,}[\s:|-]*$/gm, '')
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/^\s{0,3}(#{1,6}|>|[-*+]|\d+[.)])\s+/gm, '')
    .replace(/\*\*|__|[`*~|]/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}

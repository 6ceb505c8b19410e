/**
 * Splits an answer, as it streams, into its reasoning and the rest. The template has opened `<think>` in the prompt;
 * `</think>` ends it, wherever the pieces of text are cut. White space around the reasoning and before the answer
 * belongs to the format (`\n</think>\n\n`) and is dropped.
 */

const OPEN = '<think>';
const CLOSE = '</think>';

export interface AnswerPart {
  reasoning: string;
  content: string;
}

export class ReasoningSplitter {
  #phase: 'opening' | 'reasoning' | 'closed' | 'content';
  /** Not yet handed out: white space that may turn out to be the end, or the beginning of a marker. */
  #held = '';

  /**
   * @param thinking the prompt ended inside `<think>`; otherwise everything is content, unchanged
   * @param resumed there is reasoning in the prompt already, and white space goes on from it
   */
  constructor(thinking: boolean, resumed = false) {
    this.#phase = thinking ? (resumed ? 'reasoning' : 'opening') : 'content';
  }

  /** Whether what comes next is still reasoning. */
  get thinking(): boolean {
    return this.#phase === 'opening' || this.#phase === 'reasoning';
  }

  push(text: string): AnswerPart {
    const part: AnswerPart = { reasoning: '', content: '' };
    this.#held += text;
    if (this.#phase === 'opening') {
      this.#held = this.#held.trimStart();
      // Some answers repeat the marker that the prompt already holds.
      if (this.#held.startsWith(OPEN)) this.#held = this.#held.slice(OPEN.length).trimStart();
      else if (OPEN.startsWith(this.#held)) return part;
      if (this.#held !== '') this.#phase = 'reasoning';
    }
    if (this.#phase === 'reasoning') {
      const close = this.#held.indexOf(CLOSE);
      if (close < 0) {
        const safe = this.#held.slice(0, this.#held.length - partialMatch(this.#held, CLOSE)).trimEnd().length;
        part.reasoning = this.#held.slice(0, safe);
        this.#held = this.#held.slice(safe);
        return part;
      }
      part.reasoning = this.#held.slice(0, close).trimEnd();
      this.#held = this.#held.slice(close + CLOSE.length);
      this.#phase = 'closed';
    }
    if (this.#phase === 'closed') {
      this.#held = this.#held.trimStart();
      if (this.#held !== '') this.#phase = 'content';
    }
    part.content = this.#held;
    this.#held = '';
    return part;
  }

  /** What was held back, when no more text comes. */
  flush(): AnswerPart {
    const rest = this.#held;
    this.#held = '';
    return this.thinking ? { reasoning: rest.trimEnd(), content: '' } : { reasoning: '', content: rest };
  }
}

/** Length of the longest end of `text` that is a proper beginning of `marker`. */
export function partialMatch(text: string, marker: string): number {
  for (let length = Math.min(text.length, marker.length - 1); length > 0; length--) {
    if (text.endsWith(marker.slice(0, length))) return length;
  }
  return 0;
}

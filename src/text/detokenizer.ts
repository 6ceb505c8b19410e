/** Token ids back to text, also while they stream. */
import type { Tokenizer } from './tokenizer.ts';

export interface DecodeOptions {
  /** Show control tokens such as `<|im_end|>`. Default `true` here; an answer's text is decoded with `false`. */
  special?: boolean;
}

/** All at once. Bytes that are no UTF-8 become U+FFFD. */
export function decode(tokenizer: Tokenizer, ids: Iterable<number>, options?: DecodeOptions): string {
  const detokenizer = new Detokenizer(tokenizer, options);
  let text = '';
  for (const id of ids) text += detokenizer.push(id);
  return text + detokenizer.flush();
}

/** Token by token: a character is handed out when its last byte is there, never half of it. */
export class Detokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #special: boolean;
  // ignoreBOM keeps U+FEFF, which is an ordinary character in the middle of a stream.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(tokenizer: Tokenizer, { special = true }: DecodeOptions = {}) {
    this.#tokenizer = tokenizer;
    this.#special = special;
  }

  /** Text that is complete with this token; may be empty. */
  push(id: number): string {
    if (!this.#special && this.#tokenizer.isControl(id)) return '';
    return this.#decoder.decode(this.#tokenizer.bytes(id), { stream: true });
  }

  /** The rest: U+FFFD for a character that never became whole. The detokenizer can be used again. */
  flush(): string {
    return this.#decoder.decode();
  }
}

/**
 * Keeps strings within lengths that their schema sets. A grammar would need a state for each character, and the library
 * looks through the vocabulary for each of them: a limit of forty took it seconds. So the grammar leaves lengths out; it only
 * tells, behind a string's opening quote, which limit holds there, by going on with a word that no answer holds.
 */
import { allows } from './token-mask.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Least and most characters (code points) of a string. */
export interface LengthLimit {
  readonly least: number;
  readonly most: number;
}

/** Begins the word that tells a limit; JSON has no place for it. */
const PROBE = '\u0001';

/** Stands in the grammar behind the opening quote of a string under the limit of that number. */
export function probeOf(limit: number): string {
  return PROBE + String.fromCharCode(0x21 + Math.floor(limit / 90)) + String.fromCharCode(0x21 + (limit % 90));
}

type Place = 'outside' | 'inside' | 'escaped';

/** What of a text concerns strings. */
interface Scan {
  /** Where it ends. */
  readonly place: Place;
  /** Characters of the string that it begins in, up to its end or the text's. */
  readonly count: number;
  /** That string ends in it. */
  readonly closes: boolean;
  /** It ends with an opening quote. */
  readonly opens: boolean;
  /** It has no opening quote that anything stands behind: what may follow depends on the limit. */
  readonly tidy: boolean;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

function scan(bytes: Uint8Array, from: Place): Scan {
  let place = from;
  let count = 0;
  let closes = false;
  let opens = false;
  for (const byte of bytes) {
    if (opens) return { place, count, closes, opens: false, tidy: false };
    if (place === 'escaped') place = 'inside';
    else if (place === 'outside') {
      if (byte === QUOTE) {
        place = 'inside';
        opens = true;
      }
    } else if (byte === QUOTE) {
      place = 'outside';
      closes = true;
    } else {
      if (byte === BACKSLASH) place = 'escaped';
      const begins = (byte & 0xc0) !== 0x80; // not the rest of a character
      if (begins && !closes) count++;
    }
  }
  return { place, count, closes, opens, tidy: !bytes.includes(PROBE.charCodeAt(0)) };
}

/** What `scan` finds in each token, wherever it begins. */
export class TokenLengths {
  readonly #tokenizer: Tokenizer;
  readonly #counts: Uint16Array;
  readonly longest: number;
  /** Tokens that are tidy there, as bits. */
  readonly tidyInside: Uint32Array;
  readonly tidyOutside: Uint32Array;
  readonly #closing: Uint32Array;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
    const size = tokenizer.vocabularySize;
    const words = Math.ceil(size / 32);
    this.#counts = new Uint16Array(size);
    this.tidyInside = new Uint32Array(words);
    this.tidyOutside = new Uint32Array(words);
    this.#closing = new Uint32Array(words);
    let longest = 0;
    for (let id = 0; id < size; id++) {
      const bytes = tokenizer.bytes(id);
      const { count, closes, tidy } = scan(bytes, 'inside');
      const bit = 1 << (id & 31);
      this.#counts[id] = count;
      longest = Math.max(longest, count);
      if (closes) this.#closing[id >>> 5] |= bit;
      if (tidy) this.tidyInside[id >>> 5] |= bit;
      if (scan(bytes, 'outside').tidy) this.tidyOutside[id >>> 5] |= bit;
    }
    this.longest = longest;
  }

  scan(id: number, from: Place): Scan {
    return scan(this.#tokenizer.bytes(id), from);
  }

  /** Takes from a mask what does not fit a string of so many characters so far. */
  limit(mask: Uint32Array, from: 'inside' | 'escaped', count: number, { least, most }: LengthLimit): void {
    for (let word = 0; word < mask.length; word++) {
      for (let left = mask[word]; left !== 0; left &= left - 1) {
        const bit = left & -left;
        const id = 32 * word + 31 - Math.clz32(bit);
        const token = from === 'inside' ? this.#known(id) : this.scan(id, from);
        const length = count + token.count;
        if (length > most || (token.closes && length < least) || !token.tidy) mask[word] &= ~bit;
      }
    }
  }

  #known(id: number): Pick<Scan, 'count' | 'closes' | 'tidy'> {
    return { count: this.#counts[id], closes: allows(this.#closing, id), tidy: allows(this.tidyInside, id) };
  }
}

/** Of one answer. */
export class StringLengths {
  readonly #tokens: TokenLengths;
  readonly #limits: readonly LengthLimit[];
  readonly #goesOn: (text: string) => boolean;
  #place: Place = 'outside';
  /** Characters of the string so far, and what is allowed there. */
  #count = 0;
  #limit?: LengthLimit;

  /** @param goesOn whether the grammar may go on with a text; it stays where it is */
  constructor(tokens: TokenLengths, limits: readonly LengthLimit[], goesOn: (text: string) => boolean) {
    this.#tokens = tokens;
    this.#limits = limits;
    this.#goesOn = goesOn;
  }

  /** The grammar has accepted a token. */
  accept(id: number): void {
    this.#take(this.#tokens.scan(id, this.#place));
  }

  /** It has accepted a text, which has a quote at its end at most. */
  acceptText(text: string): void {
    this.#take(scan(new TextEncoder().encode(text), this.#place));
  }

  #take({ place, count, closes, opens }: Scan): void {
    this.#place = place;
    this.#count += count;
    if (closes) this.#limit = undefined;
    if (!opens) return;
    this.#count = 0;
    const held = this.#limits.filter((_, limit) => this.#goesOn(probeOf(limit)));
    // Where schemas are alternatives, several may hold: what satisfies all satisfies the one that it will be.
    if (held.length > 0) {
      this.#limit = {
        least: Math.max(...held.map(({ least }) => least)),
        most: Math.min(...held.map(({ most }) => most)),
      };
    }
  }

  /** Takes from a mask the tokens that would break a limit. */
  apply(mask: Uint32Array): void {
    const tidy = this.#place === 'outside' ? this.#tokens.tidyOutside : this.#tokens.tidyInside;
    if (this.#place !== 'escaped') for (let i = 0; i < mask.length; i++) mask[i] &= tidy[i];
    const limit = this.#limit;
    if (this.#place === 'escaped') this.#tokens.limit(mask, 'escaped', this.#count, limit ?? NO_LIMIT);
    else if (limit && (this.#count < limit.least || this.#count + this.#tokens.longest > limit.most)) {
      this.#tokens.limit(mask, 'inside', this.#count, limit);
    }
  }
}

const NO_LIMIT: LengthLimit = { least: 0, most: Infinity };

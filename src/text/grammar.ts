/**
 * Grammars against a vocabulary: which tokens may come next so that an answer stays within one. The library that knows
 * (XGrammar, as WebAssembly) is a megabyte, and is loaded with the first request that needs it.
 */
import { QwenError } from '../errors.ts';
import { WIDE_SPACE } from './json-strings.ts';
import { type LengthLimit, StringLengths, TokenLengths } from './string-lengths.ts';
import { allows, type TokenMask } from './token-mask.ts';
import type { Tokenizer } from './tokenizer.ts';

/** What is used of `@mlc-ai/web-xgrammar`; its own declarations would be asked of whoever uses this package's. */
export interface GrammarLibrary {
  TokenizerInfo: {
    createTokenizerInfo(
      tokens: string[],
      encoding: 'byte_level',
      prependsSpace: boolean,
      size: number,
      stopIds: number[],
    ): Promise<Handle>;
  };
  GrammarCompiler: { createGrammarCompiler(tokenizer: Handle, keeps: boolean): Promise<Compiler> };
  GrammarMatcher: {
    /** @param stopIds default: the tokenizer's @param endsByItself a whole answer needs no end token */
    createGrammarMatcher(grammar: Handle, stopIds: undefined, endsByItself: boolean): Promise<Matcher>;
  };
}

interface Handle {
  dispose(): void;
}

interface Compiler extends Handle {
  compileGrammar(ebnf: string): Promise<Handle>;
}

interface Matcher extends Handle {
  acceptToken(id: number): boolean;
  _acceptString(text: string): boolean;
  rollBack(steps: number): void;
  isTerminated(): boolean;
  getNextTokenBitmask(): Promise<Int32Array>;
}

/** What an answer has to look like. */
export interface AnswerGrammar {
  /** Rules in the library's EBNF; the whole answer is `root`. */
  readonly ebnf: string;
  /** No white space beyond ASCII comes; see `PatternGrammar`. */
  readonly plainSpace: boolean;
  /** Of strings in JSON, where the rules name them. */
  readonly lengths: readonly LengthLimit[];
  /**
   * What `root` is: a value in JSON, which is the whole answer; the opening of a call of a tool, behind which anything may
   * follow; or either.
   */
  readonly ends: 'value' | 'call' | 'either';
}

export interface MaskPlace {
  /** The answer begins with reasoning, which is free. */
  readonly thinking: boolean;
  /** Text of the answer that stands in the prompt already. */
  readonly opening?: string;
}

/** Compiled grammars that are kept: applications ask for the same few again and again. */
const KEPT = 16;

export class Grammars {
  readonly #tokenizer: Tokenizer;
  readonly #stopIds: ReadonlySet<number>;
  readonly #load: () => Promise<GrammarLibrary>;
  #opened?: Promise<{ library: GrammarLibrary; compiler: Compiler }>;
  readonly #compiled = new Map<string, Handle>();
  readonly #sets = new Map<string, Uint32Array<ArrayBuffer>>();
  #lengths?: TokenLengths;

  /** @param stopIds tokens that end an answer; they come only where the grammar may end */
  constructor(tokenizer: Tokenizer, stopIds: ReadonlySet<number>, load: () => Promise<GrammarLibrary>) {
    this.#tokenizer = tokenizer;
    this.#stopIds = stopIds;
    this.#load = load;
  }

  /** For one answer; dispose of it behind the last token. */
  async mask(grammar: AnswerGrammar, place: MaskPlace): Promise<TokenMask> {
    const { library } = await this.#open();
    const compiled = await this.#compile(grammar.ebnf);
    const isOpen = grammar.ends !== 'value';
    const matcher = await library.GrammarMatcher.createGrammarMatcher(compiled, undefined, isOpen);
    const lengths = grammar.lengths.length > 0 ? this.#lengthsOf(matcher, grammar.lengths) : undefined;
    // After each quote it may matter what the grammar holds there; after each line, whether a call has begun.
    for (const piece of place.opening?.split(/(?<=["\n])/) ?? []) {
      const isWhole = matcher.isTerminated();
      if (isWhole && place.opening?.startsWith(CALL)) break;
      if (!isWhole && matcher._acceptString(piece)) lengths?.acceptText(piece);
      else {
        matcher.dispose();
        throw new QwenError(
          'invalid-request',
          `The answer to be continued begins with ${JSON.stringify(place.opening?.slice(0, 80))}, which its response_format does not allow.`,
          { param: 'messages' },
        );
      }
    }
    const never = this.#beyond();
    if (!isOpen) unite(never, this.#set('markers'));
    if (grammar.plainSpace) unite(never, this.#set('wide space'));
    const sets = { never, blank: this.#set('blank'), ends: this.#set('ends') };
    return new GrammarMask(this.#tokenizer, matcher, sets, place, lengths);
  }

  #lengthsOf(matcher: Matcher, limits: readonly LengthLimit[]): StringLengths {
    this.#lengths ??= new TokenLengths(this.#tokenizer);
    return new StringLengths(this.#lengths, limits, (text) => {
      const goesOn = matcher._acceptString(text);
      if (goesOn) matcher.rollBack(1);
      return goesOn;
    });
  }

  #open() {
    this.#opened ??= this.#start();
    // The next request may have more luck.
    this.#opened.catch(() => {
      this.#opened = undefined;
    });
    return this.#opened;
  }

  async #start() {
    const library = await this.#load();
    const tokens = this.#tokenizer.texts();
    const info = await library.TokenizerInfo.createTokenizerInfo(tokens, 'byte_level', false, tokens.length, [
      ...this.#stopIds,
    ]);
    const compiler = await library.GrammarCompiler.createGrammarCompiler(info, false);
    info.dispose();
    return { library, compiler };
  }

  async #compile(ebnf: string): Promise<Handle> {
    let compiled = this.#compiled.get(ebnf);
    if (compiled === undefined) {
      const { compiler } = await this.#open();
      compiled = await compiler.compileGrammar(ebnf);
    }
    // Last used last.
    this.#compiled.delete(ebnf);
    this.#compiled.set(ebnf, compiled);
    for (const [oldest, unused] of this.#compiled) {
      if (this.#compiled.size <= KEPT) break;
      unused.dispose();
      this.#compiled.delete(oldest);
    }
    return compiled;
  }

  /** The bits behind the last token. */
  #beyond(): Uint32Array<ArrayBuffer> {
    const set = new Uint32Array(this.#words);
    const used = this.#tokenizer.vocabularySize & 31;
    if (used > 0) set[set.length - 1] = ~(2 ** used - 1);
    return set;
  }

  get #words(): number {
    return Math.ceil(this.#tokenizer.vocabularySize / 32);
  }

  #set(kind: keyof typeof MEMBERS | 'ends'): Uint32Array<ArrayBuffer> {
    let set = this.#sets.get(kind);
    if (set === undefined) {
      set = new Uint32Array(this.#words);
      for (let id = 0; id < this.#tokenizer.vocabularySize; id++) {
        const member = kind === 'ends' ? this.#stopIds.has(id) : MEMBERS[kind](this.#tokenizer, id);
        if (member) set[id >>> 5] |= 1 << (id & 31);
      }
      this.#sets.set(kind, set);
    }
    return set;
  }
}

const WIDE_SPACE_BYTES = WIDE_SPACE.flatMap(([first, last]) =>
  Array.from({ length: last - first + 1 }, (_, i) => latin1(new TextEncoder().encode(String.fromCodePoint(first + i)))),
);
const WIDE_SPACE_WITHIN = new RegExp(WIDE_SPACE_BYTES.join('|'));
/** A character that may become one of them in the next token. */
const WIDE_SPACE_BEGUN = new RegExp(
  `(?:${WIDE_SPACE_BYTES.flatMap((bytes) => Array.from({ length: bytes.length - 1 }, (_, i) => bytes.slice(0, i + 1))).join('|')})$`,
);

/** Sets of tokens that a grammar cannot tell apart. */
const MEMBERS = {
  markers: (tokenizer: Tokenizer, id: number) => tokenizer.isMarker(id),
  blank: (tokenizer: Tokenizer, id: number) => /^[ \t\n\r]+$/.test(latin1(tokenizer.bytes(id))),
  'wide space': (tokenizer: Tokenizer, id: number) => {
    const bytes = latin1(tokenizer.bytes(id));
    return WIDE_SPACE_WITHIN.test(bytes) || WIDE_SPACE_BEGUN.test(bytes);
  },
} satisfies Record<string, (tokenizer: Tokenizer, id: number) => boolean>;

const THINK_END = '</think>';

/** What the template writes behind `THINK_END`. */
const AFTER_THINKING = '\n\n';

/**
 * White space between values may be as long as one likes in JSON. A model that was penalised for every other token goes on
 * with it for ever: behind so many characters of it something else has to come, where anything else may.
 */
const LONGEST_BLANK = 16;

interface TokenSets {
  /** Tokens that never come. */
  readonly never: Uint32Array<ArrayBuffer>;
  /** Those that are white space alone. */
  readonly blank: Uint32Array<ArrayBuffer>;
  /** Those that end an answer. */
  readonly ends: Uint32Array<ArrayBuffer>;
}

/** Begins a call, and no value. */
const CALL = '<';

class GrammarMask implements TokenMask {
  readonly #tokenizer: Tokenizer;
  readonly #matcher: Matcher;
  readonly #sets: TokenSets;
  readonly #lengths?: StringLengths;
  #phase: 'thinking' | 'between' | 'answer' | 'ended' | 'free';
  /** Of the answer. */
  #first: string;
  /** The last characters of the reasoning. */
  #thought = '';
  /** Tokens that stand between the reasoning and the answer. */
  #between: number[];
  #blankLength = 0;

  constructor(
    tokenizer: Tokenizer,
    matcher: Matcher,
    sets: TokenSets,
    { thinking, opening = '' }: MaskPlace,
    lengths?: StringLengths,
  ) {
    this.#tokenizer = tokenizer;
    this.#matcher = matcher;
    this.#sets = sets;
    this.#first = opening.slice(0, 1);
    this.#lengths = lengths;
    this.#phase = thinking ? 'thinking' : this.#placeInAnswer();
    this.#between = tokenizer.encode(AFTER_THINKING);
  }

  async next(): Promise<Uint32Array<ArrayBuffer> | undefined> {
    switch (this.#phase) {
      case 'free':
        return undefined;
      case 'thinking': // is free, but for one thing: the turn does not end before the answer
        return this.#sets.ends.map((word) => ~word);
      case 'ended':
        return this.#sets.ends.slice();
      case 'between': {
        const mask = new Uint32Array(this.#sets.never.length);
        const [id] = this.#between;
        mask[id >>> 5] = 1 << (id & 31);
        return mask;
      }
      case 'answer':
        return this.#allowed();
    }
  }

  accept(id: number): void {
    switch (this.#phase) {
      case 'thinking':
        this.#think(id);
        return;
      case 'between':
        this.#between.shift();
        if (this.#between.length === 0) this.#phase = 'answer';
        return;
      case 'answer': {
        if (!this.#matcher.acceptToken(id)) throw new Error(`the grammar does not allow token ${id} here`);
        this.#lengths?.accept(id);
        this.#blankLength = allows(this.#sets.blank, id) ? this.#blankLength + this.#tokenizer.bytes(id).length : 0;
        this.#first ||= latin1(this.#tokenizer.bytes(id)).trim().slice(0, 1);
        this.#phase = this.#placeInAnswer();
        return;
      }
    }
  }

  dispose(): void {
    this.#matcher.dispose();
  }

  #placeInAnswer(): 'answer' | 'ended' | 'free' {
    if (!this.#matcher.isTerminated()) return 'answer';
    return this.#first === CALL ? 'free' : 'ended';
  }

  /** As `ReasoningSplitter`: the marker counts, whatever tokens it is made of. */
  #think(id: number): void {
    this.#thought = (this.#thought + latin1(this.#tokenizer.bytes(id))).slice(-256);
    const end = this.#thought.indexOf(THINK_END);
    if (end < 0) return;
    const answer = this.#thought.slice(end + THINK_END.length).trimStart();
    if (answer !== '' && !this.#matcher._acceptString(answer)) {
      throw new Error(`the answer began with ${JSON.stringify(answer)}, which its grammar does not allow`);
    }
    this.#phase = answer === '' && this.#thought.endsWith(THINK_END) ? 'between' : 'answer';
  }

  async #allowed(): Promise<Uint32Array<ArrayBuffer>> {
    const { never, blank } = this.#sets;
    const words = await this.#matcher.getNextTokenBitmask();
    const mask = never.map((word, i) => words[i] & ~word);
    this.#lengths?.apply(mask);
    if (this.#blankLength >= LONGEST_BLANK) {
      const other = mask.map((word, i) => word & ~blank[i]);
      if (other.some((word) => word !== 0)) return other;
    }
    if (!mask.some((word) => word !== 0)) throw new Error('the grammar allows no token here');
    return mask;
  }
}

function unite(set: Uint32Array, more: Uint32Array): void {
  for (let i = 0; i < set.length; i++) set[i] |= more[i];
}

/** Bytes as characters of the same numbers. */
function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

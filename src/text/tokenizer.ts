/**
 * Byte-level BPE from a GGUF's own vocabulary and merges. The merging itself is `@huggingface/tokenizers`; this file
 * adds what GGUF means by its token types, and the choice whether markers in a text are control tokens or plain text.
 */
import { Tokenizer as BpeTokenizer } from '@huggingface/tokenizers';
import { QwenError } from '../errors.ts';
import type { GgufMetadata } from '../weights/types.ts';

/** Splits a text into words before merging. Marks count as letters: that is the difference to qwen2. Source: qwen35.md §5. */
const PRE_TOKENIZERS: ReadonlyMap<string, string> = new Map([
  [
    'qwen35',
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ],
]);

/** `tokenizer.ggml.token_type`. */
const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5 } as const;

export interface EncodeOptions {
  /**
   * `true`: control and user-defined tokens written in the text become those tokens. `false` (default): they are plain
   * text. (llama.cpp would still take user-defined ones such as `<think>` as tokens; here nothing typed is a marker.)
   */
  special?: boolean;
  /** Normalise to NFC first, as the model's own tokenizer does. Default `true`; llama.cpp does not. */
  normalize?: boolean;
  /** A character that stands inside markers which must stay text; removed before merging. See `chat-template.ts`. */
  guard?: string;
}

export interface SpecialTokens {
  /** Texts of control tokens, such as `<|im_end|>`. */
  readonly control: readonly string[];
  /** Texts of user-defined tokens, such as `<think>`. */
  readonly userDefined: readonly string[];
}

export class Tokenizer {
  /** Texts that become one token with `special: true`. */
  readonly special: SpecialTokens;
  readonly vocabularySize: number;

  readonly #tokens: readonly string[];
  readonly #types: ArrayLike<number>;
  readonly #bpe: BpeTokenizer;
  readonly #specialIds: ReadonlyMap<string, number>;
  /** Matches any special token, the longest first; undefined when there is none. */
  readonly #specialPattern?: RegExp;

  /**
   * @param file name for error messages
   * @throws QwenError `unsupported-gguf` for another kind of tokenizer, `corrupt-gguf` when parts are missing
   */
  constructor(metadata: GgufMetadata, file = 'the model') {
    const pattern = splitPattern(metadata, file);
    const tokens = stringArray(metadata, 'tokenizer.ggml.tokens', file);
    const merges = stringArray(metadata, 'tokenizer.ggml.merges', file);
    this.#tokens = tokens;
    this.#types = tokenTypes(metadata, tokens.length, file);
    this.vocabularySize = tokens.length;

    const control: string[] = [];
    const userDefined: string[] = [];
    const specialIds = new Map<string, number>();
    tokens.forEach((text, id) => {
      const type = this.#types[id];
      if (type !== TOKEN_TYPE.control && type !== TOKEN_TYPE.userDefined) return;
      if (text === '') return; // an empty marker would match everywhere
      specialIds.set(text, id);
      (type === TOKEN_TYPE.control ? control : userDefined).push(text);
    });
    this.special = { control, userDefined };
    this.#specialIds = specialIds;
    this.#specialPattern = alternation(specialIds.keys());
    this.#bpe = buildBpe(tokens, merges, pattern);
    requireAllBytes(this.#bpe, file);
  }

  encode(text: string, { special = false, normalize = true, guard }: EncodeOptions = {}): number[] {
    const ids: number[] = [];
    const plain = (fragment: string) => {
      let given = guard === undefined ? fragment : fragment.replaceAll(guard, '');
      if (normalize) given = given.normalize('NFC');
      if (given === '') return;
      for (const id of this.#bpe.encode(given, { add_special_tokens: false }).ids) ids.push(id);
    };
    if (!special || this.#specialPattern === undefined) {
      plain(text);
      return ids;
    }
    let end = 0;
    for (const match of text.matchAll(this.#specialPattern)) {
      plain(text.slice(end, match.index));
      ids.push(this.#specialIds.get(match[0])!);
      end = match.index + match[0].length;
    }
    plain(text.slice(end));
    return ids;
  }

  /** The id of a control or user-defined token, by its text. */
  specialId(text: string): number | undefined {
    return this.#specialIds.get(text);
  }

  /** Control tokens such as `<|im_end|>` belong to the protocol, not to the answer's text. */
  isControl(id: number): boolean {
    return this.#types[id] === TOKEN_TYPE.control || this.#types[id] === TOKEN_TYPE.unknown;
  }

  /** User-defined tokens such as `<think>` are text that marks a place: part of an answer, but never of a value in it. */
  isMarker(id: number): boolean {
    return this.#types[id] === TOKEN_TYPE.userDefined;
  }

  /** `[vocabularySize]`: what tokens write, in GPT-2's alphabet of bytes; empty for those that write nothing. */
  texts(): string[] {
    return this.#tokens.map((token, id) => (this.#types[id] === TOKEN_TYPE.normal || this.isMarker(id) ? token : ''));
  }

  /** The bytes a token stands for; not always whole UTF-8 characters. Empty for ids beyond the vocabulary. */
  bytes(id: number): Uint8Array {
    const token = this.#tokens[id];
    if (token === undefined) return new Uint8Array();
    return this.#types[id] === TOKEN_TYPE.normal ? byteLevelToBytes(token) : new TextEncoder().encode(token);
  }
}

function buildBpe(tokens: readonly string[], merges: readonly string[], pattern: string): BpeTokenizer {
  // No prototype: a vocabulary may contain `__proto__`.
  const vocab: Record<string, number> = Object.create(null);
  tokens.forEach((token, id) => {
    vocab[token] = id;
  });
  const preTokenizers = [
    { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
    { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
  ];
  return new BpeTokenizer(
    {
      model: { type: 'BPE', vocab, merges, unk_token: null },
      normalizer: null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: preTokenizers },
      post_processor: { type: 'ByteLevel', trim_offsets: false }, // the library demands one; this adds nothing
      decoder: { type: 'ByteLevel' },
      added_tokens: [], // markers are split off here, where `special` and `guard` are known
    },
    {},
  );
}

function alternation(texts: Iterable<string>): RegExp | undefined {
  const sorted = [...texts].sort((a, b) => b.length - a.length);
  if (sorted.length === 0) return undefined;
  return new RegExp(sorted.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|'), 'g');
}

function splitPattern(metadata: GgufMetadata, file: string): string {
  const model = metadata.get('tokenizer.ggml.model');
  if (model !== 'gpt2') {
    throw new QwenError(
      'unsupported-gguf',
      `${file} has a tokenizer of kind ${shown(model)}; this package reads byte-level BPE (gpt2). Use a Qwen 3.5 GGUF.`,
      { file },
    );
  }
  const pre = metadata.get('tokenizer.ggml.pre');
  const pattern = typeof pre === 'string' ? PRE_TOKENIZERS.get(pre) : undefined;
  if (pattern === undefined) {
    throw new QwenError(
      'unsupported-gguf',
      `${file} asks for the pre-tokenizer ${shown(pre)}; this package knows ${[...PRE_TOKENIZERS.keys()].join(', ')}. Use a Qwen 3.5 GGUF, converted by a recent llama.cpp.`,
      { file },
    );
  }
  return pattern;
}

function stringArray(metadata: GgufMetadata, key: string, file: string): readonly string[] {
  const value = metadata.get(key);
  if (Array.isArray(value) && value.length > 0 && typeof value[0] === 'string') return value as readonly string[];
  throw new QwenError('corrupt-gguf', `${file} has no ${key}: the vocabulary is missing. Download the file again.`, {
    file,
  });
}

function tokenTypes(metadata: GgufMetadata, count: number, file: string): ArrayLike<number> {
  const value = metadata.get('tokenizer.ggml.token_type');
  if (ArrayBuffer.isView(value) && 'length' in value && value.length === count) return value as ArrayLike<number>;
  throw new QwenError(
    'corrupt-gguf',
    `${file} has no tokenizer.ggml.token_type for each of its ${count} tokens. Download the file again.`,
    { file },
  );
}

/** Without a token for each byte, the merger would drop text without a word. */
function requireAllBytes(bpe: BpeTokenizer, file: string): void {
  for (const [char, byte] of BYTE_OF) {
    if (bpe.token_to_id(char) !== undefined) continue;
    throw new QwenError(
      'unsupported-gguf',
      `${file}: its vocabulary has no token for the byte 0x${byte.toString(16)}, so not every text could be read. Use a Qwen 3.5 GGUF.`,
      { file },
    );
  }
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(String(value).slice(0, 80));
}

/**
 * GPT-2's alphabet: each byte as one printable character. Printable Latin-1 stands for itself, the other 68 bytes are
 * counted up from U+0100.
 */
const BYTE_OF: ReadonlyMap<string, number> = (() => {
  const map = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    map.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return map;
})();

function byteLevelToBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of token) {
    const byte = BYTE_OF.get(char);
    if (byte === undefined) bytes.push(...new TextEncoder().encode(char));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

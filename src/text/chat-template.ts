/**
 * Conversations to prompts, by the Jinja template that the GGUF carries.
 *
 * A template writes markers such as `<|im_end|>` between messages, and messages may contain the same characters, typed
 * by a user. Only the template's own may become control tokens. So before rendering, one character that occurs nowhere
 * else (the guard) is put inside every marker, and every beginning of one, in the messages. Whatever the template then
 * trims, splits, joins or writes as JSON, a guarded marker is never a marker again; the tokenizer splits the rendering
 * at the true markers and removes the guard before it merges, so no token border is moved.
 *
 * The template itself looks for `<think>` and `<tool_call>` in what the assistant said: there, only control tokens are
 * guarded. Everywhere else user-defined tokens are guarded too.
 */
import { Template } from '@huggingface/jinja';
import { messageOf, QwenError } from '../errors.ts';
import type { GgufMetadata } from '../weights/types.ts';
import type { SpecialTokens } from './tokenizer.ts';

/** What templates understand. Shapes are checked by the api room. */
export interface TemplateMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

export interface TemplateInput {
  readonly messages: readonly TemplateMessage[];
  readonly tools?: readonly unknown[];
  /** Default `true`: ends with the opening of the assistant's turn. */
  readonly add_generation_prompt?: boolean;
  readonly enable_thinking?: boolean;
  /** An answer that ends the prompt, for the model to go on with. */
  readonly unfinished?: UnfinishedAnswer;
  /** Anything else a template may ask for. */
  readonly [variable: string]: unknown;
}

export interface UnfinishedAnswer {
  readonly reasoning: string;
  readonly content: string;
}

export interface RenderedPrompt {
  /** With guards in it; for `Tokenizer.encode(text, { special: true, guard })`. */
  readonly guarded: string;
  readonly guard: string;
  /** As a reader would see it. */
  readonly text: string;
  /** The template opens `<think>`: the answer begins with reasoning. */
  readonly opensThinking: boolean;
  /** What comes next is reasoning: it begins, or an unfinished answer had not got beyond it. */
  readonly withinThinking: boolean;
}

/** Private use: no meaning to Unicode, to Jinja or to JSON; neither white space nor a letter. */
const GUARDS = { first: 0xe000, last: 0xf8ff };

export class ChatTemplate {
  readonly #template: Template;
  readonly #source: string;
  readonly #variables: Readonly<Record<string, unknown>>;
  readonly #guardAll: (text: string, guard: string) => string;
  readonly #guardControl: (text: string, guard: string) => string;

  /** @throws QwenError `unsupported-gguf` when the metadata has no template, or one that cannot be parsed */
  constructor(metadata: GgufMetadata, special: SpecialTokens, file = 'the model') {
    const source = metadata.get('tokenizer.chat_template');
    if (typeof source !== 'string') {
      throw new QwenError(
        'unsupported-gguf',
        `${file} has no chat template (tokenizer.chat_template). Use completions with a prompt of your own, or a GGUF of an instruction model.`,
        { file },
      );
    }
    try {
      this.#template = new Template(source);
    } catch (cause) {
      throw new QwenError('unsupported-gguf', `${file}: its chat template cannot be read: ${messageOf(cause)}`, {
        file,
        cause,
      });
    }
    this.#source = source;
    const tokens = metadata.get('tokenizer.ggml.tokens');
    const textOf = (key: string) => {
      const id = metadata.get(key);
      return Array.isArray(tokens) && typeof id === 'number' && typeof tokens[id] === 'string' ? tokens[id] : '';
    };
    this.#variables = {
      bos_token: textOf('tokenizer.ggml.bos_token_id'),
      eos_token: textOf('tokenizer.ggml.eos_token_id'),
    };
    this.#guardControl = guardFor(special.control);
    this.#guardAll = guardFor([...special.control, ...special.userDefined]);
  }

  /** @throws QwenError `invalid-request` with the template's own words when it refuses the conversation */
  render(input: TemplateInput): RenderedPrompt {
    const guard = unusedCharacter(this.#source, input);
    const all = (text: string) => this.#guardAll(text, guard);
    const control = (text: string) => this.#guardControl(text, guard);
    const { messages, unfinished, ...variables } = input;
    const context: Record<string, unknown> = { add_generation_prompt: true, ...this.#variables };
    for (const [name, value] of Object.entries(variables)) {
      if (value !== undefined) context[name] = mapStrings(value, all); // a variable set to undefined counts as defined
    }
    context.messages = messages.map((message) => {
      const { role, ...fields } = message;
      return { role, ...(mapStrings(fields, role === 'assistant' ? control : all) as object) };
    });

    let guarded: string;
    try {
      guarded = this.#template.render(context);
    } catch (cause) {
      throw new QwenError('invalid-request', `The chat template refuses the messages: ${messageOf(cause)}`, {
        param: 'messages',
        cause,
      });
    }
    const opensThinking = guarded.trimEnd().endsWith('<think>');
    if (unfinished) guarded += unfinishedText(unfinished, opensThinking, all);
    return {
      guarded,
      guard,
      text: guarded.replaceAll(guard, ''),
      opensThinking,
      withinThinking: opensThinking && (unfinished?.content.trim() ?? '') === '',
    };
  }
}

/** Behind the opening of the answer, in the format that `ReasoningSplitter` takes apart. */
function unfinishedText(
  { reasoning, content }: UnfinishedAnswer,
  opensThinking: boolean,
  guard: (text: string) => string,
): string {
  const said = content.trimStart();
  if (!opensThinking) return guard(said);
  const thought = guard(reasoning.trim());
  return said === '' ? thought : `${thought}\n</think>\n\n${guard(said)}`;
}

/**
 * A function that puts a guard after the first character of whatever could be, or with what the template writes next
 * could become, one of the markers: everything that begins with a marker's first two characters, and a last character
 * that a marker begins with.
 */
function guardFor(markers: readonly string[]): (text: string, guard: string) => string {
  // A marker of one character has no inside; no vocabulary of this family has one.
  const heads = new Map(markers.map((marker) => [...marker].slice(0, 2)).map((head) => [head.join(''), head]));
  const alternatives = [...heads.values()]
    .filter((head) => head.length === 2)
    .map((head) => head.map(escapePattern))
    .map(([first, second]) => `${first}(?=${second}|$)`);
  if (alternatives.length === 0) return (text) => text;
  const pattern = new RegExp(alternatives.join('|'), 'gu');
  return (text, guard) => text.replace(pattern, (first) => first + guard);
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

/** A copy with `map` over every string in it, keys of objects included. */
function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, map));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [map(key), mapStrings(item, map)]));
}

function unusedCharacter(source: string, input: TemplateInput): string {
  const used = new Set<number>();
  const scan = (text: string) => {
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code >= GUARDS.first && code <= GUARDS.last) used.add(code);
    }
    return text;
  };
  scan(source);
  mapStrings(input, scan);
  for (let code = GUARDS.first; code <= GUARDS.last; code++) {
    if (!used.has(code)) return String.fromCharCode(code);
  }
  throw new QwenError(
    'invalid-request',
    'The messages use every private-use character (U+E000 to U+F8FF); one must be left free. Remove some of them.',
    { param: 'messages' },
  );
}

/**
 * Qwen 3.5's calls of tools, read from the answer as it streams and written as OpenAI's: arguments become JSON text, bit
 * by bit.
 *
 *     <tool_call>
 *     <function=NAME>
 *     <parameter=P>
 *     VALUE
 *     </parameter>
 *     </function>
 *     </tool_call>
 *
 * Values have no escapes, so a value may hold the very tags that end it. `</parameter>` therefore counts only where the
 * format goes on behind it: with another parameter, or the end of the function. What is no call after all comes back as
 * the content that it was, with a word of why; nothing the model wrote is dropped but white space around calls.
 */
import { partialMatch } from './reasoning.ts';

/** A tool as a request describes it, as far as reading calls needs it. */
export interface ToolSchema {
  readonly name: string;
  /** JSON schema of the arguments: an object with `properties`. */
  readonly parameters?: unknown;
}

export interface ToolCallDelta {
  /** Of the call, from 0. */
  readonly index: number;
  /** With the first delta of a call. */
  readonly name?: string;
  /** The next piece of the arguments' JSON text. */
  readonly arguments: string;
}

export interface ToolCallPart {
  content: string;
  calls: ToolCallDelta[];
  /** What was wrong with a call; its text is in `content`, or in the arguments. */
  errors: string[];
}

const CALL = '<tool_call>';
const CALL_END = '</tool_call>';
const FUNCTION = '<function=';
const FUNCTION_END = '</function>';
const PARAMETER = '<parameter=';
const PARAMETER_END = '</parameter>';

/** What stands in the name of a function or parameter: more is no name any more. */
const LONGEST_NAME = 256;

type State =
  | { at: 'content' }
  /** Behind `<tool_call>`. */
  | { at: 'call' }
  /** Behind `<function=NAME>`, which is `seen`; the first parameter, or the end, makes it a call. */
  | { at: 'function'; name: string; seen: string }
  /** Behind a parameter. */
  | { at: 'parameters' }
  | { at: 'value'; name: string; kinds: Kinds; begun: boolean; text: string }
  /** Behind `</function>`. */
  | { at: 'end' };

export class ToolCallParser {
  readonly #tools: ReadonlyMap<string, ToolSchema>;
  #state: State = { at: 'content' };
  /** Not yet understood. */
  #held = '';
  /** White space before the last `<tool_call>`. */
  #space = '';
  #calls = 0;
  #closed = 0;
  #tool?: ToolSchema;
  #given = new Set<string>();
  #part: ToolCallPart = emptyPart();

  constructor(tools: readonly ToolSchema[]) {
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]));
  }

  /** Calls begun so far. */
  get calls(): number {
    return this.#calls;
  }

  /** Calls whose arguments are whole. */
  get closedCalls(): number {
    return this.#closed;
  }

  push(text: string): ToolCallPart {
    this.#held += text;
    while (this.#step());
    return this.#take();
  }

  /**
   * What was held back, when no more text comes.
   * @param cut the answer was cut off, so a value under way is not whole: its arguments stay unfinished JSON. Otherwise
   * the model ended its turn, and what it forgot to close is closed.
   */
  flush({ cut = false } = {}): ToolCallPart {
    // A tag that never became whole may sit in front of text that can be read.
    while (this.#step() || this.#giveUp(cut));
    return this.#take();
  }

  #take(): ToolCallPart {
    const part = this.#part;
    this.#part = emptyPart();
    return part;
  }

  /** Reads one thing; false when it needs more text. */
  #step(): boolean {
    switch (this.#state.at) {
      case 'content':
        return this.#content();
      case 'call':
        return this.#call();
      case 'function':
        return this.#firstParameter(this.#state);
      case 'parameters':
        return this.#nextParameter();
      case 'value':
        return this.#value(this.#state);
      case 'end':
        return this.#end();
    }
  }

  #content(): boolean {
    const at = this.#held.indexOf(CALL);
    if (at >= 0) {
      const before = this.#held.slice(0, at);
      this.#say(before.trimEnd());
      this.#space = before.slice(before.trimEnd().length);
      this.#held = this.#held.slice(at + CALL.length);
      this.#state = { at: 'call' };
      return true;
    }
    // White space may turn out to stand before a call, where it is the format's.
    const safe = this.#held.slice(0, this.#held.length - partialMatch(this.#held, CALL)).trimEnd().length;
    this.#say(this.#held.slice(0, safe));
    this.#held = this.#held.slice(safe);
    return false;
  }

  #call(): boolean {
    const text = this.#held.trimStart();
    if (text.startsWith('{')) return this.#jsonCall(text);
    const tag = openTag(text, FUNCTION);
    if (tag === 'partial') return false;
    if (tag === undefined) return this.#notACall('', `${CALL} without ${FUNCTION}name>`);
    this.#state = {
      at: 'function',
      name: tag.name,
      seen: this.#held.slice(0, this.#held.length - text.length + tag.length),
    };
    this.#held = text.slice(tag.length);
    return true;
  }

  /** The form of earlier Qwens, which models of this one fall back to: `{"name": …, "arguments": {…}}`. */
  #jsonCall(text: string): boolean {
    const end = text.indexOf(CALL_END);
    if (end < 0) return false;
    return this.#readJsonCall(text.slice(0, end), text.slice(end));
  }

  #readJsonCall(text: string, rest: string): boolean {
    const call = parsed(text);
    const { name, arguments: given } = isRecord(call) ? call : {};
    const args = typeof given === 'string' ? parsed(given) : given;
    if (typeof name !== 'string' || !isRecord(args)) return this.#notACall('', 'a call in JSON that cannot be read');
    this.#part.calls.push({ index: this.#calls++, name, arguments: JSON.stringify(args) });
    this.#closed++;
    this.#held = rest;
    this.#state = { at: 'end' };
    return true;
  }

  #firstParameter({ name, seen }: State & { at: 'function' }): boolean {
    const text = this.#held.trimStart();
    const tag = openTag(text, PARAMETER);
    const closing = [FUNCTION_END, CALL_END].find((end) => text.startsWith(end));
    if (closing === undefined && (tag === 'partial' || mayBecome(text, [FUNCTION_END, CALL_END]))) return false;
    if (closing === undefined && tag === undefined) {
      return this.#notACall(seen, `the call of ${name} has neither parameters nor an end`);
    }
    this.#part.calls.push({ index: this.#calls++, name, arguments: '{' });
    this.#tool = this.#tools.get(name);
    this.#given.clear();
    this.#state = { at: 'parameters' };
    return true;
  }

  #nextParameter(): boolean {
    const text = this.#held.trimStart();
    const tag = openTag(text, PARAMETER);
    if (tag === 'partial') return false;
    if (tag === undefined) {
      if (text.startsWith(FUNCTION_END)) this.#held = text.slice(FUNCTION_END.length);
      else if (text.startsWith(CALL_END)) this.#held = text;
      else return false; // only the end of the answer can follow here: a value ends nowhere else
      this.#closeArguments();
      return true;
    }
    const { name } = tag;
    if (this.#given.has(name)) this.#part.errors.push(`parameter ${name} is given twice; the last one counts`);
    this.#argue(`${this.#given.size > 0 ? ', ' : ''}${JSON.stringify(name)}: `);
    this.#given.add(name);
    this.#state = { at: 'value', name, kinds: parameterKinds(this.#tool?.parameters, name), begun: false, text: '' };
    this.#held = text.slice(tag.length);
    return true;
  }

  #value(state: State & { at: 'value' }): boolean {
    if (!state.begun) {
      if (this.#held === '') return false;
      if (this.#held.startsWith('\n')) this.#held = this.#held.slice(1); // the format's
      state.begun = true;
      if (isText(state.kinds)) this.#argue('"');
    }
    const { end, next } = valueEnd(this.#held);
    this.#grow(state, this.#held.slice(0, end));
    this.#held = this.#held.slice(next ?? end);
    if (next === undefined) return false;
    this.#closeValue(state);
    return true;
  }

  #grow(state: State & { at: 'value' }, text: string): void {
    if (text === '') return;
    if (isText(state.kinds)) this.#argue(escaped(text));
    else state.text += text;
  }

  #closeValue({ name, kinds, text }: State & { at: 'value' }): void {
    if (isText(kinds)) this.#argue('"');
    else {
      const { json, error } = typed(text, kinds);
      this.#argue(json);
      if (error) this.#part.errors.push(`parameter ${name} should be ${error}; it is passed on as text`);
    }
    this.#state = { at: 'parameters' };
  }

  #closeArguments(): void {
    this.#argue('}');
    this.#closed++;
    this.#state = { at: 'end' };
  }

  #end(): boolean {
    const text = this.#held.trimStart();
    if (text.startsWith(FUNCTION))
      this.#state = { at: 'call' }; // two functions in one <tool_call>
    else if (text.startsWith(CALL_END)) {
      this.#held = text.slice(CALL_END.length);
      this.#state = { at: 'content' };
    } else if (mayBecome(text, [CALL_END, FUNCTION])) return false;
    else this.#state = { at: 'content' };
    return true;
  }

  /** At the end of the answer: makes something of what was held back. False when nothing is left to do. */
  #giveUp(cut: boolean): boolean {
    const state = this.#state;
    switch (state.at) {
      case 'content':
        // White space behind a call is the format's; behind a text it is the model's.
        if (this.#calls === 0 || this.#held.trim() !== '') this.#say(this.#held);
        this.#held = '';
        return false;
      case 'call': {
        const text = this.#held.trimStart();
        if (!cut && text.startsWith('{') && isRecord(parsed(text))) return this.#readJsonCall(text, '');
        return this.#notACall('', 'the answer ends within a call');
      }
      case 'function':
        return this.#notACall(state.seen, `the answer ends within the call of ${state.name}`);
      case 'value':
        if (!state.begun && isText(state.kinds)) this.#argue('"');
        this.#grow(state, withoutEndOfTag(this.#held));
        this.#held = '';
        if (cut) {
          this.#part.errors.push(`the answer was cut within parameter ${state.name}`);
          if (!isText(state.kinds)) this.#argue(state.text);
          this.#state = { at: 'content' };
        } else {
          this.#part.errors.push(`parameter ${state.name} is not closed; it ends with the answer`);
          this.#closeValue(state);
        }
        return true;
      case 'parameters':
        this.#held = '';
        if (cut) this.#state = { at: 'content' };
        else this.#closeArguments();
        return true;
      case 'end':
        this.#state = { at: 'content' };
        if (mayBecome(this.#held.trim(), [CALL_END, FUNCTION])) this.#held = '';
        return true;
    }
  }

  /** Gives `<tool_call>` and what was read behind it back as content; a call may begin in what follows. */
  #notACall(seen: string, error: string): true {
    this.#part.errors.push(error);
    this.#say(this.#space + CALL);
    this.#held = seen + this.#held;
    this.#state = { at: 'content' };
    return true;
  }

  #say(text: string): void {
    this.#part.content += text;
  }

  /** Adds to the arguments of the last call; what comes in one go is one delta. */
  #argue(json: string): void {
    const index = this.#calls - 1;
    const last = this.#part.calls.at(-1);
    if (last?.index === index) {
      this.#part.calls[this.#part.calls.length - 1] = { ...last, arguments: last.arguments + json };
    } else this.#part.calls.push({ index, arguments: json });
  }
}

function emptyPart(): ToolCallPart {
  return { content: '', calls: [], errors: [] };
}

/** `<function=NAME>` or `<parameter=NAME>` at the beginning of a text. */
function openTag(text: string, head: string): { name: string; length: number } | 'partial' | undefined {
  if (!text.startsWith(head)) return head.startsWith(text) ? 'partial' : undefined;
  const end = text.slice(head.length).search(/[>\n<]/);
  if (end < 0) return text.length - head.length <= LONGEST_NAME ? 'partial' : undefined;
  const name = text
    .slice(head.length, head.length + end)
    .trim()
    .replace(/^(["'])(.*)\1$/, '$2');
  if (text[head.length + end] !== '>' || name === '' || end > LONGEST_NAME) return undefined;
  return { name, length: head.length + end + 1 };
}

function mayBecome(text: string, tags: readonly string[]): boolean {
  return tags.some((tag) => tag.startsWith(text));
}

/**
 * Where a value ends: `end` is behind its last character. `next` is where the format goes on, and undefined while it is
 * not known that the value ends; then nothing behind `end` can be told yet.
 */
function valueEnd(text: string): { end: number; next?: number } {
  for (let at = text.indexOf('<'); at >= 0; at = text.indexOf('<', at + 1)) {
    const here = endTag(text.slice(at));
    if (here === undefined) continue;
    const end = text[at - 1] === '\n' ? at - 1 : at; // the format's
    return here === 'partial' ? { end } : { end, next: at + here };
  }
  return { end: text.endsWith('\n') ? text.length - 1 : text.length };
}

/** Length of the tag that ends a value, 0 if it was forgotten. */
function endTag(text: string): number | 'partial' | undefined {
  if (text.startsWith(PARAMETER_END)) {
    const rest = text.slice(PARAMETER_END.length).trimStart();
    if (rest.startsWith(FUNCTION_END) || rest.startsWith(CALL_END)) return PARAMETER_END.length;
    const next = openTag(rest, PARAMETER);
    if (next === 'partial' || mayBecome(rest, [FUNCTION_END, CALL_END])) return 'partial';
    return next && PARAMETER_END.length;
  }
  if (text.startsWith(FUNCTION_END)) {
    const rest = text.slice(FUNCTION_END.length).trimStart();
    if (rest.startsWith(CALL_END)) return 0;
    return CALL_END.startsWith(rest) ? 'partial' : undefined;
  }
  return mayBecome(text, [PARAMETER_END, FUNCTION_END]) ? 'partial' : undefined;
}

/** A value that the end of the answer closes, without the beginning of the tags that would have closed it. */
function withoutEndOfTag(text: string): string {
  const at = text.lastIndexOf('\n<');
  if (at >= 0 && endTag(text.slice(at + 1)) === 'partial') return text.slice(0, at);
  const whole = text.search(/\n?<\/parameter>\s*$/);
  if (whole >= 0) return text.slice(0, whole);
  return text.endsWith('\n') ? text.slice(0, -1) : text;
}

/** JSON types that a schema allows, or all of them. */
type Kinds = ReadonlySet<string> | 'any';

function isText(kinds: Kinds): boolean {
  return kinds !== 'any' && kinds.size === 1 && kinds.has('string');
}

/** Of a parameter that no schema speaks of: text, as it stands there. */
const TEXT: Kinds = new Set(['string']);

function parameterKinds(parameters: unknown, name: string): Kinds {
  const properties = isRecord(parameters) ? parameters.properties : undefined;
  if (!isRecord(properties) || !Object.hasOwn(properties, name)) return TEXT;
  return schemaKinds(properties[name], parameters, 0);
}

const DEEPEST_REFERENCE = 16;

function schemaKinds(schema: unknown, root: unknown, depth: number): Kinds {
  if (!isRecord(schema) || depth > DEEPEST_REFERENCE) return 'any';
  if (typeof schema.$ref === 'string') return schemaKinds(referred(schema.$ref, root), root, depth + 1);
  if (typeof schema.type === 'string') return new Set([schema.type]);
  if (Array.isArray(schema.type)) return new Set(schema.type.map(String));
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(alternatives)) return union(alternatives.map((each) => schemaKinds(each, root, depth + 1)));
  if (Array.isArray(schema.enum)) return new Set(schema.enum.map(kindOf));
  if ('const' in schema) return new Set([kindOf(schema.const)]);
  return 'any';
}

/** `#/$defs/name` and the like. */
function referred(reference: string, root: unknown): unknown {
  if (!reference.startsWith('#/')) return undefined;
  let at: unknown = root;
  for (const key of reference.slice(2).split('/')) {
    const name = key.replaceAll('~1', '/').replaceAll('~0', '~');
    at = isRecord(at) && Object.hasOwn(at, name) ? at[name] : undefined;
  }
  return at;
}

function union(kinds: readonly Kinds[]): Kinds {
  const all = new Set<string>();
  for (const each of kinds) {
    if (each === 'any') return 'any';
    for (const kind of each) all.add(kind);
  }
  return all;
}

/** A value as JSON: as the type that the schema wants, else as text. `error` names the type it should have had. */
function typed(text: string, kinds: Kinds): { json: string; error?: string } {
  const trimmed = text.trim();
  const json = PYTHON_LITERALS.get(trimmed) ?? trimmed;
  const value = parsed(json);
  const allows = (kind: string) => kinds === 'any' || kinds.has(kind);
  if (value !== undefined) {
    const kind = kindOf(value);
    const fits = kind === 'number' ? allows('number') || (allows('integer') && Number.isInteger(value)) : allows(kind);
    if (fits && kind !== 'string') return { json };
  }
  const error = kinds === 'any' || kinds.has('string') ? undefined : [...kinds].join(' or ');
  return { json: JSON.stringify(text), error };
}

/** Templates print booleans as Python does, and models repeat it. */
const PYTHON_LITERALS = new Map([
  ['True', 'true'],
  ['False', 'false'],
  ['None', 'null'],
]);

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Inside of a JSON string. Halves of a surrogate pair may come apart: as escapes they join again. */
function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

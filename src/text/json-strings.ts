/** Grammars of JSON strings: of any text, of a length, of a pattern (ECMA-262, as JSON Schema has it), or of a format. */
import {
  ALL_CODES,
  ASCII,
  type CodeSet,
  choice,
  codesOf,
  type Expression,
  includes,
  literal,
  oneOf,
  repeat,
  sequence,
  UnsupportedCodes,
  unite,
  without,
} from './ebnf.ts';

export const QUOTE = literal('"');
const BACKSLASH = literal('\\');

/**
 * At the end of a string's rule: what may stand behind it. It spares the library a look at the rules around for every token
 * with a quote in it: 0.1 ms a mask in place of 5 to 20, of 152k tokens.
 */
export const BEHIND_STRING = '(= [\\u0020\\u0009\\u000a]* [,}\\u005d:])';

/** What JSON has to escape. */
const QUOTED = codesOf('"\\');
const CONTROLS: CodeSet = [[0, 0x1f]];
const PLAIN = without(without(ALL_CODES, QUOTED), CONTROLS);

const SHORT_ESCAPES: ReadonlyMap<number, string> = new Map(
  Object.entries({ '"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't' }).map(
    ([char, letter]) => [char.charCodeAt(0), letter],
  ),
);

/** A character of a JSON string, as it stands there. Halves of surrogate pairs do not come. */
const ANY_CHARACTER = written(ALL_CODES)!;

/** One of these characters, as a JSON string holds it: itself, or its one escape. */
function written(codes: CodeSet): Expression {
  const plain = without(without(codes, QUOTED), CONTROLS);
  const letters = Array.from(SHORT_ESCAPES, ([code, letter]) => (includes(codes, code) ? letter : '')).join('');
  const escapes = letters === '' ? undefined : sequence(BACKSLASH, oneOf(codesOf(letters)));
  return choice(oneOf(plain), escapes);
}

/** A string to its closing quote, as the body of a rule of that name. */
export function restOfString(rule: string): string {
  const escapes = `${BACKSLASH} ${oneOf(codesOf([...SHORT_ESCAPES.values()].join('')))}`;
  return `(${QUOTE} | ${oneOf(PLAIN)} ${rule} | ${escapes} ${rule}) ${BEHIND_STRING}`;
}

/** Any string, without its quotes. */
export const ANY_TEXT = repeat(ANY_CHARACTER, 0)!;

/** Names that a member may have beside those given: of plain characters, and none of the given. */
export function otherNames(names: readonly string[], addRule: (body: string) => string): Expression {
  const rest = addRule(repeat(oneOf(PLAIN), 0)!);
  // Beyond ASCII there is no "all but these".
  const all = (chars: string) =>
    without(/[^\0-\x7f]/.test(chars) ? without(PLAIN, without(ALL_CODES, ASCII)) : PLAIN, codesOf(chars));
  const node = (prefix: string): Expression => {
    const longer = names.filter((name) => name.startsWith(prefix) && name !== prefix);
    const next = [...new Set(longer.map((name) => String.fromCodePoint(name.codePointAt(prefix.length)!)))];
    return choice(
      names.includes(prefix) ? undefined : '""',
      sequence(oneOf(all(next.join(''))), rest),
      ...next.map((char) => sequence(oneOf(without(codesOf(char), QUOTED)), node(prefix + char))),
    );
  };
  return node('');
}

/** What a regular expression asks for and grammars cannot give. */
export class UnsupportedPattern extends Error {}

export interface PatternGrammar {
  readonly text: Expression;
  /** It holds only while no white space beyond ASCII comes: `.` and `\S` leave some of it out, which no class can. */
  readonly plainSpace: boolean;
}

/**
 * The texts in which a pattern is found, as JSON strings hold them, without quotes.
 * @throws UnsupportedPattern
 */
export function patternGrammar(pattern: string): PatternGrammar {
  try {
    new RegExp(pattern, 'u');
    return new PatternReader(pattern).read();
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof UnsupportedCodes)) throw error;
    throw new UnsupportedPattern(error.message);
  }
}

const MONTHS =
  '(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))';
const DATE = `\\d{4}-${MONTHS}`;
const TIME = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+\\-](?:[01]\\d|2[0-3]):[0-5]\\d)';
const LABEL = '[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*';
const HOST = `${LABEL}(?:\\.${LABEL})*`;
const BYTE = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const GROUP = '[0-9a-fA-F]{1,4}';

/** Formats of strings, by JSON Schema's names. Some texts of a format may not come: the 29th of February is one. */
export const FORMATS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    date: DATE,
    time: TIME,
    'date-time': `${DATE}T${TIME}`,
    duration: 'P(?:\\d{1,4}W|\\d{1,4}D(?:T\\d{1,4}[HMS])?|T\\d{1,4}[HMS]|\\d{1,4}[YM])',
    email: `[A-Za-z0-9_+\\-]+(?:\\.[A-Za-z0-9_+\\-]+)*@${LABEL}(?:\\.${LABEL})*\\.[A-Za-z]{2,8}`,
    hostname: HOST,
    ipv4: `${BYTE}(?:\\.${BYTE}){3}`,
    ipv6: `${GROUP}(?::${GROUP}){7}`,
    uri: `[A-Za-z][A-Za-z0-9+.\\-]*:(?://${HOST}(?::\\d{1,4})?)?(?:/[A-Za-z0-9._~\\-]*)*(?:\\?[A-Za-z0-9._~=&\\-]*)?(?:#[A-Za-z0-9._~\\-]*)?`,
    uuid: '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}',
  }).map(([name, pattern]) => [name, `^${pattern}$`]),
);

const DIGIT: CodeSet = [[0x30, 0x39]];
const WORD: CodeSet = unite([...DIGIT, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]]);
const SPACE: CodeSet = unite([
  ...codesOf('\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff'),
  [0x2000, 0x200a],
]);
const LINE_ENDS = codesOf('\n\r\u2028\u2029');

/** White space beyond ASCII. */
export const WIDE_SPACE: CodeSet = without(unite([...SPACE, ...LINE_ENDS]), ASCII);

const CLASSES: ReadonlyMap<string, CodeSet> = new Map([
  ['d', DIGIT],
  ['D', without(ALL_CODES, DIGIT)],
  ['w', WORD],
  ['W', without(ALL_CODES, WORD)],
  ['s', SPACE],
  ['S', without(ALL_CODES, SPACE)],
]);

const CONTROL_ESCAPES: ReadonlyMap<string, number> = new Map([
  ['t', 9],
  ['n', 10],
  ['v', 11],
  ['f', 12],
  ['r', 13],
  ['0', 0],
]);

/** The library looks through the vocabulary for each of them. */
const MOST_CHARACTERS = 500;

/** Reads a valid pattern (flag `u`) from left to right. */
class PatternReader {
  readonly #chars: readonly string[];
  #at = 0;
  #plainSpace = false;
  /** Characters that it asks for, counted ones as often as they may come. */
  #size = 0;

  constructor(pattern: string) {
    this.#chars = Array.from(pattern);
  }

  read(): PatternGrammar {
    const alternatives: Expression[] = [];
    do {
      const anchored = this.#take('^');
      const body = this.#sequence();
      const ended = this.#take('$');
      alternatives.push(sequence(anchored ? '""' : ANY_TEXT, body, ended ? '""' : ANY_TEXT));
    } while (this.#take('|'));
    if (this.#at < this.#chars.length) throw new UnsupportedPattern('an anchor inside the pattern');
    return { text: choice(...alternatives), plainSpace: this.#plainSpace };
  }

  #take(char: string): boolean {
    if (this.#chars[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #alternatives(): Expression {
    const alternatives: Expression[] = [];
    do alternatives.push(this.#sequence());
    while (this.#take('|'));
    return choice(...alternatives);
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    while (this.#at < this.#chars.length && !'|)$'.includes(this.#chars[this.#at])) parts.push(this.#quantified());
    return sequence(...parts);
  }

  #quantified(): Expression {
    const before = this.#size;
    const atom = this.#atom();
    const rest = this.#chars.slice(this.#at, this.#at + 24).join('');
    const quantifier = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})/.exec(rest);
    if (!quantifier) return atom;
    const [text, from, comma, to] = quantifier;
    this.#at += text.length;
    this.#take('?'); // lazy or not, the texts are the same
    let least = text === '+' ? 1 : 0;
    let most = text === '?' ? 1 : undefined;
    if (from !== undefined) {
      least = Number(from);
      if (comma === '') most = least;
      else if (to !== '') most = Number(to);
    }
    this.#size = before + (this.#size - before) * Math.max(most ?? least, 1);
    if (this.#size > MOST_CHARACTERS) {
      throw new UnsupportedPattern(`more than ${MOST_CHARACTERS} characters by repetition`);
    }
    return repeat(atom, least, most);
  }

  #atom(): Expression {
    const char = this.#chars[this.#at++];
    if (char === '(') return this.#group();
    if (char === '[') return this.#one(this.#class());
    if (char === '.') return this.#one(without(ALL_CODES, LINE_ENDS));
    if (char === '\\') return this.#one(this.#escape());
    if (char === '^') throw new UnsupportedPattern('an anchor inside the pattern');
    return this.#one(codesOf(char));
  }

  #one(codes: CodeSet): Expression {
    this.#size++;
    const lacking = without(without(ALL_CODES, ASCII), codes);
    if (lacking.length === 0 || without(lacking, WIDE_SPACE).length > 0) return written(codes);
    this.#plainSpace = true;
    return written(unite([...codes, ...lacking]));
  }

  #group(): Expression {
    if (this.#take('?')) {
      if (this.#take('<')) {
        if ('=!'.includes(this.#chars[this.#at])) throw new UnsupportedPattern('a look behind, (?<= or (?<!');
        while (!this.#take('>')) this.#at++; // a name
      } else if (!this.#take(':')) {
        throw new UnsupportedPattern('a look ahead, (?= or (?!, or a modifier');
      }
    }
    const body = this.#alternatives();
    if (!this.#take(')')) throw new UnsupportedPattern('an anchor inside the pattern');
    return body;
  }

  #class(): CodeSet {
    const negated = this.#take('^');
    let codes: CodeSet = [];
    while (!this.#take(']')) {
      const first = this.#classAtom();
      const range = this.#chars[this.#at] === '-' && this.#chars[this.#at + 1] !== ']';
      if (!range) {
        codes = unite([...codes, ...first]);
        continue;
      }
      this.#at++;
      const last = this.#classAtom();
      codes = unite([...codes, [first[0][0], last[0][1]]]);
    }
    codes = without(codes, [[0xd800, 0xdfff]]);
    return negated ? without(ALL_CODES, codes) : codes;
  }

  #classAtom(): CodeSet {
    const char = this.#chars[this.#at++];
    if (char !== '\\') return codesOf(char);
    if (this.#take('b')) return codesOf('\b');
    return this.#escape();
  }

  /** Behind a backslash. */
  #escape(): CodeSet {
    const char = this.#chars[this.#at++];
    const named = CLASSES.get(char);
    if (named) return named;
    const control = CONTROL_ESCAPES.get(char);
    if (control !== undefined) return [[control, control]];
    if (char === 'x' || char === 'u') {
      const rest = this.#chars.slice(this.#at, this.#at + 12).join('');
      const [all, braced, hex] = /^(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2,4}))/.exec(rest)!;
      const digits = braced ?? hex.slice(0, char === 'x' ? 2 : 4);
      this.#at += braced ? all.length : digits.length;
      const code = Number.parseInt(digits, 16);
      if (code >= 0xd800 && code <= 0xdfff) throw new UnsupportedPattern('half of a surrogate pair');
      return [[code, code]];
    }
    if (/[A-Za-z1-9]/.test(char)) throw new UnsupportedPattern(`\\${char}`);
    return codesOf(char);
  }
}

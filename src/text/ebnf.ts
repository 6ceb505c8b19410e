/**
 * Pieces of grammars in the EBNF that the grammar library reads: texts of expressions. `undefined` is the expression that
 * matches nothing.
 */

export type Expression = string | undefined;

/** A literal text. */
export function literal(text: string): string {
  return `"${Array.from(text, (char) => escapeCode(char.codePointAt(0)!)).join('')}"`;
}

export function sequence(...parts: Expression[]): Expression {
  if (parts.includes(undefined)) return undefined;
  return parts.filter((part) => part !== '""').join(' ') || '""';
}

/** Any one of them. */
export function choice(...parts: Expression[]): Expression {
  const possible = [...new Set(parts.filter((part) => part !== undefined))];
  if (possible.length === 0) return undefined;
  return possible.length === 1 ? possible[0] : `(${possible.join(' | ')})`;
}

/** `most` undefined: without end. */
export function repeat(part: Expression, least: number, most?: number): Expression {
  if (most === 0 || (part === undefined && least === 0)) return '""';
  if (part === undefined || (most !== undefined && most < least)) return undefined;
  const one = /^(?:\[[^\]]*\]|"(?:[A-Za-z0-9]|\\u....)"|\w+|\([^()]*\))$/.test(part) ? part : `(${part})`;
  if (least === 1 && most === 1) return part;
  if (most === undefined && least <= 1) return one + (least === 0 ? '*' : '+');
  if (least === 0 && most === 1) return `${one}?`;
  return `${one}{${least},${most ?? ''}}`;
}

/** Code points: ranges from first to last, ascending, without overlaps. */
export type CodeSet = readonly (readonly [first: number, last: number])[];

/** All that UTF-8 can encode. */
export const ALL_CODES: CodeSet = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

export function codesOf(chars: string): CodeSet {
  return unite(
    Array.from(chars, (char) => {
      const code = char.codePointAt(0)!;
      return [code, code] as const;
    }),
  );
}

/** Sorts and joins. */
export function unite(ranges: CodeSet): CodeSet {
  const joined: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const previous = joined.at(-1);
    if (previous && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else joined.push([first, last]);
  }
  return joined;
}

export function without(codes: CodeSet, unwanted: CodeSet): CodeSet {
  let left = codes;
  for (const [first, last] of unwanted) {
    left = left.flatMap(([from, to]): CodeSet => {
      if (last < from || first > to) return [[from, to]];
      const parts: CodeSet = [
        [from, first - 1],
        [last + 1, to],
      ];
      return parts.filter(([a, b]) => a <= b);
    });
  }
  return left;
}

export function includes(codes: CodeSet, code: number): boolean {
  return codes.some(([first, last]) => first <= code && code <= last);
}

/** A set of characters that no expression describes. */
export class UnsupportedCodes extends Error {}

export const ASCII: CodeSet = [[0, 0x7f]];

const BEYOND_ASCII = without(ALL_CODES, ASCII);

/** Characters beyond ASCII that are written out one by one. */
const MOST_LITERALS = 1000;

/**
 * One character of a set. The library's classes hold ranges of ASCII alone (0.1.27: others are cut to eight bits), or all
 * but such ranges; what else a set has is written out.
 * @throws UnsupportedCodes
 */
export function oneOf(codes: CodeSet): Expression {
  const beyond = without(codes, ASCII);
  const ascii = without(codes, BEYOND_ASCII);
  if (without(BEYOND_ASCII, beyond).length === 0) return `[^${ranges(without(ASCII, ascii))}]`;
  const count = beyond.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  if (count > MOST_LITERALS) throw new UnsupportedCodes(`${count} characters beyond ASCII, of more than a thousand`);
  const literals = beyond.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, i) => literal(String.fromCodePoint(first + i))),
  );
  return choice(ascii.length > 0 ? `[${ranges(ascii)}]` : undefined, ...literals);
}

function ranges(codes: CodeSet): string {
  return codes
    .map(([first, last]) => (first === last ? escapeCode(first) : `${escapeCode(first)}-${escapeCode(last)}`))
    .join('');
}

function escapeCode(code: number): string {
  const char = String.fromCodePoint(code);
  if (/[A-Za-z0-9]/.test(char)) return char;
  const hex = code.toString(16);
  return code <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

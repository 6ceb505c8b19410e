/**
 * Grammars of JSON numbers between bounds, digit by digit. Bounded numbers have no exponent, and at most 15 digits that
 * count, which a double tells apart: so what the grammar takes to be within the bounds is so when it has been parsed.
 */
import { choice, type Expression, literal, repeat, sequence } from './ebnf.ts';

export interface Bounds {
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

/** Digits that a double keeps. */
const DIGITS = 15;

/** Any number that a double holds: what exceeds it would be read as infinity. */
const ANY_NUMBER = '"-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})? ([eE] [+\\u002d]? [0-9]{1,2})?';

const ANY_INTEGER = '("0" | "-"? [1-9] [0-9]{0,14})';

/** Undefined: there is no such number. */
export function integerGrammar(bounds: Bounds): Expression {
  const { least, most } = ends(bounds);
  if (least === undefined && most === undefined) return ANY_INTEGER;
  const low = least && BigInt(least.exclusive ? Math.floor(least.value) + 1 : Math.ceil(least.value));
  const high = most && BigInt(most.exclusive ? Math.ceil(most.value) - 1 : Math.floor(most.value));
  const negative = low === undefined || low < 0n;
  return choice(
    negative
      ? sequence(
          '"-"',
          wholeNumbers(high !== undefined && high < 0n ? -high : 1n, low === undefined ? undefined : -low),
        )
      : undefined,
    high === undefined || high >= 0n ? wholeNumbers(low !== undefined && low > 0n ? low : 0n, high) : undefined,
  );
}

export function numberGrammar(bounds: Bounds): Expression {
  const { least, most } = ends(bounds);
  if (least === undefined && most === undefined) return ANY_NUMBER;
  const negative = least === undefined || least.value < 0;
  const positive = most === undefined || most.value >= 0;
  const nothing: End = { value: 0, exclusive: false };
  return choice(
    negative
      ? sequence(
          '"-"',
          magnitudes(
            most && most.value < 0 ? mirrored(most) : { ...nothing, exclusive: true },
            least && mirrored(least),
          ),
        )
      : undefined,
    positive ? magnitudes(least && least.value >= 0 ? least : nothing, most) : undefined,
  );
}

interface End {
  readonly value: number;
  readonly exclusive: boolean;
}

/** The tighter of two bounds of one side. */
function ends({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Bounds): { least?: End; most?: End } {
  const pick = (inclusive: number | undefined, exclusive: number | undefined, sign: number): End | undefined => {
    if (exclusive === undefined) return inclusive === undefined ? undefined : { value: inclusive, exclusive: false };
    if (inclusive !== undefined && sign * inclusive > sign * exclusive) return { value: inclusive, exclusive: false };
    return { value: exclusive, exclusive: true };
  };
  return { least: pick(minimum, exclusiveMinimum, 1), most: pick(maximum, exclusiveMaximum, -1) };
}

const mirrored = ({ value, exclusive }: End): End => ({ value: -value, exclusive });

/** Whole numbers from `low`, at least 0, to `high`, or to `DIGITS` digits. */
function wholeNumbers(low: bigint, high?: bigint): Expression {
  const top = high ?? 10n ** BigInt(Math.max(DIGITS, String(low).length)) - 1n;
  if (top < low) return undefined;
  const [from, to] = [String(low), String(top)];
  if (from.length === to.length) return sameLength(from, to);
  const lowest = `1${'0'.repeat(to.length - 1)}`;
  // One repetition for all lengths between: of alternatives by length the library (0.1.27) makes a loop.
  const between =
    to.length - from.length > 1 ? sequence('[1-9]', repeat('[0-9]', from.length, to.length - 2)) : undefined;
  if (to === '9'.repeat(to.length)) {
    return choice(
      sameLength(from, '9'.repeat(from.length)),
      sequence('[1-9]', repeat('[0-9]', from.length, to.length - 1)),
    );
  }
  return choice(sameLength(from, '9'.repeat(from.length)), between, sameLength(lowest, to));
}

/** Digits from `low` to `high`, which are as long as each other. */
function sameLength(low: string, high: string): Expression {
  if (low === '') return '""';
  if (/^0*$/.test(low) && /^9*$/.test(high)) return repeat('[0-9]', low.length, low.length);
  const [first, last] = [Number(low[0]), Number(high[0])];
  const rest = low.length - 1;
  if (first === last) return sequence(digit(first), sameLength(low.slice(1), high.slice(1)));
  return choice(
    sequence(digit(first), sameLength(low.slice(1), '9'.repeat(rest))),
    sequence(digit(first + 1, last - 1), repeat('[0-9]', rest, rest)),
    sequence(digit(last), sameLength('0'.repeat(rest), high.slice(1))),
  );
}

function digit(from: number, to = from): Expression {
  if (from > to || from > 9 || to < 0) return undefined;
  return from === to ? `"${from}"` : `[${from}-${to}]`;
}

/** Decimals from `least`, at least 0, to `most`, without a sign. */
function magnitudes(least: End, most?: End): Expression {
  const low = decimal(least.value);
  const high = most && decimal(most.value);
  const digits = Math.max(
    DIGITS - Math.max(low.whole.length, high?.whole.length ?? 0),
    low.fraction.length,
    high?.fraction.length ?? 0,
    1,
  );
  const anyFraction = fractionAtLeast('', false, digits);
  const from = BigInt(low.whole);
  const atLow = (rest: Expression) => sequence(literal(low.whole), rest);
  const aboveLow = atLow(fractionAtLeast(low.fraction, least.exclusive, digits));
  if (!most || !high) return choice(aboveLow, sequence(wholeNumbers(from + 1n), anyFraction));
  const to = BigInt(high.whole);
  if (to < from) return undefined;
  if (to === from) {
    return atLow(fractionBetween(low.fraction, least.exclusive, high.fraction, most.exclusive, digits));
  }
  return choice(
    aboveLow,
    sequence(wholeNumbers(from + 1n, to - 1n), anyFraction),
    sequence(literal(high.whole), fractionAtMost(high.fraction, most.exclusive, digits)),
  );
}

/*
 * What may follow the whole part: nothing, or a point and up to `digits` digits. Bounds are the digits behind the point,
 * without zeros at the end.
 */

function fractionAtLeast(bound: string, exclusive: boolean, digits: number): Expression {
  if (bound === '' && !exclusive) return repeat(sequence('"."', anyDigits(1, digits)), 0, 1);
  return sequence('"."', above(bound, exclusive, digits));
}

function fractionAtMost(bound: string, exclusive: boolean, digits: number): Expression {
  if (bound === '') return exclusive ? undefined : repeat('".0"', 0, 1);
  return repeat(sequence('"."', below(bound, exclusive, digits)), 0, 1);
}

function fractionBetween(
  low: string,
  exclusiveLow: boolean,
  high: string,
  exclusiveHigh: boolean,
  digits: number,
): Expression {
  if (low === '' && !exclusiveLow) return fractionAtMost(high, exclusiveHigh, digits);
  const length = Math.max(low.length, high.length);
  const [from, to] = [low.padEnd(length, '0'), high.padEnd(length, '0')];
  if (from > to) return undefined;
  let common = 0;
  while (common < length && from[common] === to[common]) common++;
  const shared = literal(from.slice(0, common));
  if (common === length) {
    if (exclusiveLow || exclusiveHigh) return undefined;
    return length === 0 ? repeat('".0"', 0, 1) : sequence('"."', shared);
  }
  const [first, last] = [Number(from[common]), Number(to[common])];
  const left = digits - common - 1;
  const rest = (bound: string) => bound.slice(common + 1).replace(/0+$/, '');
  return sequence(
    '"."',
    shared,
    choice(
      sequence(digit(first), above(rest(from), exclusiveLow, left)),
      sequence(digit(first + 1, last - 1), anyDigits(0, left)),
      sequence(digit(last), upTo(rest(to), exclusiveHigh, left)),
    ),
  );
}

function anyDigits(least: number, most: number): Expression {
  return repeat('[0-9]', least, most);
}

/** Digits that make at least the bound. */
function above(bound: string, exclusive: boolean, left: number): Expression {
  if (bound === '') {
    if (!exclusive) return anyDigits(0, left);
    if (left === 0) return undefined;
    const zeros = Math.floor((left - 1) / 2);
    return sequence(repeat('"0"', 0, zeros), '[1-9]', anyDigits(0, left - 1 - zeros));
  }
  const first = Number(bound[0]);
  return choice(
    sequence(digit(first + 1, 9), anyDigits(0, left - 1)),
    sequence(digit(first), above(bound.slice(1), exclusive, left - 1)),
  );
}

/** At least one digit, and at most the bound. */
function below(bound: string, exclusive: boolean, left: number): Expression {
  const first = Number(bound[0]);
  return choice(
    sequence(digit(0, first - 1), anyDigits(0, left - 1)),
    sequence(digit(first), upTo(bound.slice(1), exclusive, left - 1)),
  );
}

function upTo(bound: string, exclusive: boolean, left: number): Expression {
  if (bound === '') return exclusive ? undefined : '""';
  return choice('""', below(bound, exclusive, left));
}

/** Digits of a number that is not negative, before and behind the point; without zeros at the end. */
function decimal(value: number): { whole: string; fraction: string } {
  const [mantissa, exponent = '0'] = String(value).split('e');
  const [whole, fraction = ''] = mantissa.split('.');
  const shift = Number(exponent);
  const digits = whole + fraction;
  const point = whole.length + shift;
  const padded = point > 0 ? digits.padEnd(point, '0') : digits.padStart(digits.length - point + 1, '0');
  const at = Math.max(point, 1);
  return { whole: padded.slice(0, at).replace(/^0+(?=\d)/, ''), fraction: padded.slice(at).replace(/0+$/, '') };
}

import { GrammarCompiler, GrammarMatcher, TokenizerInfo } from '@mlc-ai/web-xgrammar';
import { describe, expect, it } from 'vitest';
import { type Bounds, integerGrammar, numberGrammar } from './json-numbers.ts';
import { Random } from './random.ts';

const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?$/;

function within(value: number, { minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Bounds): boolean {
  return (
    value >= (minimum ?? -Infinity) &&
    value <= (maximum ?? Infinity) &&
    value > (exclusiveMinimum ?? -Infinity) &&
    value < (exclusiveMaximum ?? Infinity)
  );
}

const compiler = await GrammarCompiler.createGrammarCompiler(await TokenizerInfo.createTokenizerInfo([]), false);

async function acceptor(expression: string | undefined): Promise<(text: string) => boolean> {
  if (expression === undefined) return () => false;
  // As a part of something, as a rule of a schema is.
  const compiled = await compiler.compileGrammar(`root ::= "[" number "]"\nnumber ::= ${expression}`);
  const matcher = await GrammarMatcher.createGrammarMatcher(compiled, undefined, true);
  return (text) => {
    matcher.reset();
    return matcher._acceptString(`[${text}]`) && matcher.isTerminated();
  };
}

const random = new Random(3);
const integer = (from: number, to: number) => from + Math.floor(random.next() * (to - from + 1));

function randomBounds(whole: boolean): Bounds {
  const decimals = whole ? 0 : integer(0, 5);
  const bound = () => Number(((random.next() - 0.5) * 10 ** integer(0, 7)).toFixed(decimals));
  const [low, high] = [bound(), bound()].sort((a, b) => a - b);
  const kind = integer(0, 3);
  return {
    ...(kind !== 1 && { [integer(0, 1) ? 'minimum' : 'exclusiveMinimum']: low }),
    ...(kind !== 2 && { [integer(0, 1) ? 'maximum' : 'exclusiveMaximum']: high }),
  };
}

/** Texts near the bounds and far from them, longer than a double is exact, and some that are no numbers. */
function texts(bounds: Bounds, whole: boolean): string[] {
  const found = [
    '0',
    '-0',
    '00',
    '1',
    '-1',
    '01',
    '1.',
    '9'.repeat(15),
    `-${'9'.repeat(15)}`,
    '1'.repeat(40),
    '.5',
    '',
  ];
  for (const bound of Object.values(bounds) as number[]) {
    for (const step of [0, 1, -1, 0.5, -0.5, 0.00001, -0.00001, 10, -10, 1000, -1000]) {
      const value = bound + step;
      found.push(String(value), value.toFixed(2), String(Math.round(value)), String(value * 10));
    }
    found.push(`${bound}0`, `${bound}${Number.isInteger(bound) ? '.' : ''}000`, `${bound}1`);
  }
  for (let i = 0; i < 20; i++) {
    const value = (random.next() - 0.5) * 10 ** integer(0, 8);
    found.push(whole ? String(Math.round(value)) : value.toFixed(integer(0, 6)));
  }
  return [...new Set(found)].filter((text) => !text.includes('e'));
}

describe.each([
  ['integers', true],
  ['numbers', false],
])('%s', (_, whole) => {
  it('are those between their bounds, digit for digit', async () => {
    for (let round = 0; round < 25; round++) {
      const bounds = randomBounds(whole);
      const accepts = await acceptor((whole ? integerGrammar : numberGrammar)(bounds));
      for (const text of texts(bounds, whole)) {
        const right = JSON_NUMBER.test(text) && within(Number(text), bounds) && !(whole && text.includes('.'));
        const told = `${JSON.stringify(bounds)} ${text}`;
        // Of what is right, some ways to write it are left out: minus zero, more digits than count, zeros behind equal bounds.
        const plain = text === String(Number(text)) && text.replace(/\D/g, '').length <= 12 && !/\.\d{4}/.test(text);
        if (!right) expect(accepts(text), told).toBe(false);
        else if (plain) expect(accepts(text), told).toBe(true);
      }
    }
  });

  it('are none where no number is between', async () => {
    const grammar = whole ? integerGrammar : numberGrammar;
    expect(grammar({ minimum: 2, maximum: 1 })).toBeUndefined();
    expect(grammar({ exclusiveMinimum: 1, maximum: 1 })).toBeUndefined();
    if (whole) expect(grammar({ minimum: 0.2, maximum: 0.8 })).toBeUndefined();
    const only = await acceptor(grammar({ minimum: 7, maximum: 7 }));
    expect([only('7'), only('6'), only('8'), only('70')]).toEqual([true, false, false, false]);
  });
});

it('any number is one that a double holds', async () => {
  const accepts = await acceptor(numberGrammar({}));
  const good = ['0', '-0.5', '12e3', '1.25E-07', '123456789012345'];
  const bad = ['1e999', '1'.repeat(400), '+1', '1e', 'NaN', '0x1'];
  for (const text of good) expect(accepts(text), text).toBe(true);
  for (const text of bad) expect(accepts(text), text).toBe(false);
});

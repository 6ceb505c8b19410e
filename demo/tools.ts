/** What the model may do on this page, if the reader allows it. Harmless: nothing is written and nothing is fetched. */
import type { ChatTool } from '../src/ui/qwen-chat.ts';

export const tools: readonly ChatTool[] = [
  {
    name: 'calculate',
    description: 'Computes an arithmetic expression exactly as written. Use it for any arithmetic.',
    parameters: {
      type: 'object',
      properties: {
        expression: { type: 'string', description: 'Numbers, + - * / % ^ and parentheses, such as (2 + 3) * 4^2' },
      },
      required: ['expression'],
    },
    run: ({ expression }) => calculate(String(expression)),
  },
  {
    name: 'now',
    description: 'Tells the present date, time and time zone.',
    parameters: {
      type: 'object',
      properties: {
        time_zone: { type: 'string', description: "IANA name, such as Europe/Paris; the reader's if left out" },
      },
    },
    run: ({ time_zone }) => now(typeof time_zone === 'string' && time_zone !== '' ? time_zone : undefined),
  },
];

/** @throws RangeError for an unknown time zone */
function now(timeZone: string | undefined): string {
  const date = new Date();
  const format = new Intl.DateTimeFormat('en', { dateStyle: 'full', timeStyle: 'long', timeZone });
  return `${format.format(date)} (${format.resolvedOptions().timeZone})`;
}

/**
 * Sums of products of powers, read from left to right, by one function a rank. A minus before a power takes the whole
 * power: -2^2 is -4.
 */
export function calculate(expression: string): number {
  const tokens = expression.match(/\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+|\*\*|\S/g) ?? [];
  let at = 0;
  const takes = (...wanted: string[]) => (wanted.includes(tokens[at]) ? tokens[at++] : undefined);

  const sum = (): number => {
    let value = product();
    for (let sign = takes('+', '-'); sign; sign = takes('+', '-')) value += sign === '+' ? product() : -product();
    return value;
  };
  const product = (): number => {
    let value = power();
    for (let sign = takes('*', '/', '%', '×', '÷'); sign; sign = takes('*', '/', '%', '×', '÷')) {
      const right = power();
      if (sign === '*' || sign === '×') value *= right;
      else value = sign === '%' ? value % right : value / right;
    }
    return value;
  };
  const power = (): number => {
    if (takes('-')) return -power();
    takes('+');
    const base = atom();
    return takes('^', '**') ? base ** power() : base;
  };
  const atom = (): number => {
    if (takes('(')) {
      const value = sum();
      if (!takes(')')) throw new Error('A ) is missing.');
      return value;
    }
    const token = tokens[at++];
    if (token === undefined) throw new Error('The expression ends too early.');
    const value = Number(token);
    if (!/^[\d.]/.test(token) || Number.isNaN(value)) throw new Error(`${token} is no number.`);
    return value;
  };

  const value = sum();
  if (at < tokens.length) throw new Error(`${tokens[at]} was not expected.`);
  if (!Number.isFinite(value)) throw new Error('The result is not a finite number.');
  return value;
}

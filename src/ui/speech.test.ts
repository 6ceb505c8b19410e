import { expect, test } from 'vitest';
import { SentenceReader, speakable } from './speech.ts';

test('a growing answer is spoken sentence by sentence', () => {
  const reader = new SentenceReader();
  expect(reader.next('Version 3.')).toBe('');
  expect(reader.next('Version 3.5 is')).toBe('');
  expect(reader.next('Version 3.5 is out. It')).toBe('Version 3.5 is out.');
  expect(reader.next('Version 3.5 is out. It runs!', true)).toBe('It runs!');
  expect(reader.next('Version 3.5 is out. It runs!', true)).toBe('');
});

test('a code block is announced when it is closed, not read out', () => {
  const reader = new SentenceReader();
  expect(reader.next('Do this:\n```js\nrun();\n')).toBe('Do this:');
  expect(reader.next('Do this:\n```js\nrun();\n```\n')).toBe('Code block, 1 line.');
});

test.each([
  ['## A **bold** title', 'A bold title'],
  ['- one\n- [two](https://x.example)\n', 'one two'],
  ['Use `f(x)`.', 'Use f(x) .'],
  ['| a | b |\n|---|---|\n| 1 | 2 |', 'a b 1 2'],
])('%j is read as %j', (markdown, spoken) => expect(speakable(markdown)).toBe(spoken));

import { expect, test } from 'vitest';
import { grammarLibrary, stripShader } from './vite-plugins.ts';

test.each([
  ['a line comment', 'let a = 1; // one\nlet b = a / 2;', 'let a = 1;\nlet b = a / 2;'],
  ['a block comment over lines', 'fn f() {\n  /* one\n     two */ return;\n}', 'fn f() {\nreturn;\n}'],
  ['a block mark within a line comment', '// as in src/*.ts\nlet a = 1; // end */', 'let a = 1;'],
  ['a line mark within a block comment', 'let a /* // */ = 1;', 'let a   = 1;'],
  ['a comment between two words', 'let/**/a = 1;', 'let a = 1;'],
])('%s is stripped from a shader', (_, source, expected) => {
  expect(stripShader(source)).toBe(expected);
});

test('nested block comments are refused', () => {
  expect(() => stripShader('/* a /* b */ c */ let x = 1;')).toThrow('nested');
});

test('a grammar library that has changed is not rewritten silently', () => {
  const { transform } = grammarLibrary();
  const handler = typeof transform === 'object' ? (transform.handler as (code: string) => unknown) : undefined;
  expect(() => handler?.('export const Grammar = 1;')).toThrow('look at it anew');
});

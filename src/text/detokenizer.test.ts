import { beforeAll, describe, expect, it } from 'vitest';
import { Detokenizer, decode } from './detokenizer.ts';
import { smallVocabulary } from './fixtures.ts';
import { Tokenizer } from './tokenizer.ts';

let tokenizer: Tokenizer;
/** The token of one byte. */
let byteId: (byte: number) => number;

beforeAll(async () => {
  tokenizer = new Tokenizer(await smallVocabulary());
  const ids = new Map<number, number>();
  for (let id = 0; id < tokenizer.vocabularySize; id++) {
    const bytes = tokenizer.bytes(id);
    if (bytes.length === 1 && !ids.has(bytes[0])) ids.set(bytes[0], id);
  }
  byteId = (byte) => ids.get(byte)!;
});

const bytesOf = (text: string) => [...new TextEncoder().encode(text)];

describe('Detokenizer', () => {
  it.each(['é', '€', '👩‍👩‍👧 x', 'a\u0301', '\ufeff'])('hands out whole characters of %j, byte by byte', (text) => {
    const detokenizer = new Detokenizer(tokenizer);
    const pieces = bytesOf(text).map((byte) => detokenizer.push(byteId(byte)));
    expect(pieces.join('') + detokenizer.flush()).toBe(text);
    const whole = new Set([...text, '']);
    for (const piece of pieces) expect(whole).toContain(piece);
  });

  it.each<[string, number[]]>([
    ['a lone continuation', [0x80]],
    ['a character cut short by another', [0xe2, 0x82, 0x41]],
    ['a character cut short by the end', [0x41, 0xf0, 0x9f, 0x91]],
    ['an overlong form', [0xc0, 0xaf]],
    ['a surrogate in UTF-8', [0xed, 0xa0, 0x80]],
    ['a byte that never occurs', [0xff, 0x41]],
  ])('replaces %s as TextDecoder does', (_, bytes) => {
    const expected = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
    expect(decode(tokenizer, bytes.map(byteId))).toBe(expected);
  });

  it('shows or hides control tokens, and always shows user-defined ones', () => {
    const ids = tokenizer.encode('a<think>b<|im_end|>', { special: true });
    expect(decode(tokenizer, ids)).toBe('a<think>b<|im_end|>');
    expect(decode(tokenizer, ids, { special: false })).toBe('a<think>b');
  });

  it('can be used again after a flush, and knows no bytes for ids beyond the vocabulary', () => {
    const detokenizer = new Detokenizer(tokenizer);
    expect(detokenizer.push(byteId(0xe2))).toBe('');
    expect(detokenizer.flush()).toBe('\ufffd');
    expect(detokenizer.push(byteId(0x41))).toBe('A');
    expect(detokenizer.push(1_000_000)).toBe('');
  });
});

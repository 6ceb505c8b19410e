import { beforeAll, describe, expect, it } from 'vitest';
import { QwenError } from '../errors.ts';
import type { GgufMetadata, GgufValue } from '../weights/types.ts';
import { decode } from './detokenizer.ts';
import { largeVocabulary, readJsonFixture, smallVocabulary } from './fixtures.ts';
import { Tokenizer } from './tokenizer.ts';

interface Vector {
  text: string;
  ids: number[];
  ids_special: number[];
}

const vectors = readJsonFixture<Vector[]>('tokenizer/vectors.json');
let large: Tokenizer;
let small: Tokenizer;
let smallMetadata: GgufMetadata;

beforeAll(async () => {
  large = new Tokenizer(await largeVocabulary());
  smallMetadata = await smallVocabulary();
  small = new Tokenizer(smallMetadata);
});

describe('Tokenizer', () => {
  it('agrees with all 359 vectors, markers as text', () => {
    expect(vectors).toHaveLength(359);
    for (const { text, ids } of vectors) {
      expect(large.encode(text), text).toEqual(ids);
      expect(large.encode(text, { normalize: false }), text).toEqual(ids);
    }
  });

  it('agrees with all 359 vectors, markers as control tokens', () => {
    for (const { text, ids_special } of vectors) {
      expect(large.encode(text, { special: true, normalize: false }), text).toEqual(ids_special);
    }
  });

  it('turns the ids of every vector back into its text', () => {
    for (const { text, ids, ids_special } of vectors) {
      expect(decode(large, ids)).toBe(text);
      expect(decode(large, ids_special)).toBe(text);
    }
  });

  it('normalises to NFC unless told not to', () => {
    const composed = 'é';
    const decomposed = 'e\u0301';
    expect(large.encode(decomposed)).toEqual(large.encode(composed));
    expect(decode(large, large.encode(decomposed, { normalize: false }))).toBe(decomposed);
  });

  it('takes user-defined tokens such as <think> as text unless special tokens are asked for', () => {
    const id = small.specialId('<think>')!;
    expect(small.encode('<think>')).not.toContain(id);
    expect(small.encode('a<think>b', { special: true })).toEqual([...small.encode('a'), id, ...small.encode('b')]);
    expect(decode(small, small.encode('<think>'))).toBe('<think>');
  });

  it('never takes unused tokens from a text', () => {
    expect(small.specialId('[PAD750]')).toBeUndefined();
    expect(small.encode('[PAD750]', { special: true })).not.toContain(750);
  });

  it('leaves guarded markers text without moving a token border', () => {
    const guard = '\ue000';
    const encoded = small.encode(`x <${guard}|im_end|> y<|im_end|>`, { special: true, guard });
    expect(encoded).toEqual([...small.encode('x <|im_end|> y'), small.specialId('<|im_end|>')]);
  });

  it.each([
    ['lone surrogate', 'a\ud800b', 'a\ufffdb'],
    ['empty text', '', ''],
    ['zero byte', '\0', '\0'],
    ['a property of Object', '__proto__ constructor', '__proto__ constructor'],
    ['byte order mark', '\ufeffx', '\ufeffx'],
  ])('reads %s', (_, text, expected) => {
    expect(decode(small, small.encode(text))).toBe(expected);
    expect(decode(large, large.encode(text))).toBe(expected);
  });

  it.each<[string, GgufValue | undefined, string]>([
    ['tokenizer.ggml.model', 'llama', 'unsupported-gguf'],
    ['tokenizer.ggml.model', undefined, 'unsupported-gguf'],
    ['tokenizer.ggml.pre', 'gpt-4o', 'unsupported-gguf'],
    ['tokenizer.ggml.pre', undefined, 'unsupported-gguf'],
    ['tokenizer.ggml.tokens', undefined, 'corrupt-gguf'],
    ['tokenizer.ggml.tokens', ['a', 'b'], 'corrupt-gguf'],
    ['tokenizer.ggml.merges', undefined, 'corrupt-gguf'],
    ['tokenizer.ggml.token_type', new Int32Array(3), 'corrupt-gguf'],
  ])('refuses %s = %s', (key, value, code) => {
    const metadata = new Map(smallMetadata);
    if (value === undefined) metadata.delete(key);
    else metadata.set(key, value);
    const failure = caught(() => new Tokenizer(metadata, 'x.gguf'));
    expect(failure).toMatchObject({ code, file: 'x.gguf' });
    expect(failure.message).toContain('x.gguf');
  });

  it('refuses a vocabulary that has no token for some byte', () => {
    const tokens = [...(smallMetadata.get('tokenizer.ggml.tokens') as string[])];
    tokens[tokens.indexOf('Ġ')] = 'ĠĠĠĠĠĠĠĠĠ';
    const metadata = new Map(smallMetadata).set('tokenizer.ggml.tokens', tokens);
    expect(caught(() => new Tokenizer(metadata))).toMatchObject({ code: 'unsupported-gguf' });
  });
});

function caught(run: () => unknown): QwenError {
  try {
    run();
  } catch (error) {
    if (error instanceof QwenError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

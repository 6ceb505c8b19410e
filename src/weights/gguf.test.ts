import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { ByteWriter, type WriterTensor, writeGguf } from '../../tools/gguf-writer.ts';
import { QwenError } from '../errors.ts';
import { BlobSource } from './byte-source.ts';
import { FIRST_READ_BYTES, readGgufHeader } from './gguf.ts';
import { quantTypes, rowBytes, tensorTypeOfId, tensorTypes } from './quant-types.ts';

const read = (bytes: Uint8Array<ArrayBuffer>) => readGgufHeader(new BlobSource(new Blob([bytes]), 'model.gguf'));

const f32 = (name: string, columns = 8, offset?: number): WriterTensor => {
  return { name, typeId: 0, shape: [columns], data: new Uint8Array(columns * 4), offset };
};

/** Magic, version 3, and the counts; what follows is up to the case. */
const header = (tensors: number | bigint, entries: number | bigint) =>
  new ByteWriter().scalar('u32', 0x46554747).scalar('u32', 3).scalar('u64', tensors).scalar('u64', entries);

describe('a well-formed header', () => {
  test('gives every metadata type back', async () => {
    const { metadata } = await read(
      writeGguf({
        metadata: {
          u8: ['u8', 255],
          i8: ['i8', -128],
          u16: ['u16', 65535],
          i16: ['i16', -32768],
          u32: ['u32', 4294967295],
          i32: ['i32', -2147483648],
          f32: ['f32', 0.5],
          yes: true,
          text: 'Ġü😀',
          'byte order mark': '\ufeff',
          u64: ['u64', 2n ** 40n],
          'u64 unsafe': ['u64', 2n ** 63n],
          i64: ['i64', -5n],
          f64: ['f64', 0.1],
          bytes: ['array', 'u8', [1, 2]],
          shorts: ['array', 'i16', [-1, 2]],
          floats: ['array', 'f32', [1, 2.5]],
          longs: ['array', 'u64', [1n, 2n ** 63n]],
          bools: ['array', 'bool', [true, false]],
          strings: ['array', 'string', ['a', '', 'ß']],
          nested: [
            'array',
            'array',
            [
              ['u8', [1]],
              ['string', ['x', 'y']],
            ],
          ],
          empty: ['array', 'string', []],
        },
      }),
    );
    expect(Object.fromEntries(metadata)).toEqual({
      u8: 255,
      i8: -128,
      u16: 65535,
      i16: -32768,
      u32: 4294967295,
      i32: -2147483648,
      f32: 0.5,
      yes: true,
      text: 'Ġü😀',
      'byte order mark': '\ufeff',
      u64: 2 ** 40,
      'u64 unsafe': 2n ** 63n,
      i64: -5,
      f64: 0.1,
      bytes: new Uint8Array([1, 2]),
      shorts: new Int16Array([-1, 2]),
      floats: new Float32Array([1, 2.5]),
      longs: new BigUint64Array([1n, 2n ** 63n]),
      bools: [true, false],
      strings: ['a', '', 'ß'],
      nested: [new Uint8Array([1]), ['x', 'y']],
      empty: [],
    });
  });

  test('keeps every string apart, whatever its bytes and length', async () => {
    const bytes = (...values: number[]) => new Uint8Array(values);
    const utf8 = (text: string) => new TextEncoder().encode(text);
    const strings = [
      utf8('a\0b'),
      utf8(''),
      utf8('\0'),
      utf8('Ġ😀ꙮ'),
      utf8('x'.repeat(70_000)),
      utf8('ü'.repeat(65_535 / 2)),
      utf8('after the long ones'),
    ];
    const broken = [bytes(0xc3), bytes(0xa4, 0x62), bytes(0xed, 0xa0, 0x80), bytes(0xf0, 0x9f), bytes(0xff), utf8('z')];
    for (const list of [strings, broken, [...strings, ...broken, ...strings]]) {
      const out = header(0, 1).scalar('string', 'k').scalar('u32', 9).scalar('u32', 8).scalar('u64', list.length);
      for (const string of list) out.scalar('u64', string.length).bytes(string);
      const { metadata } = await read(out.finish());
      expect(metadata.get('k')).toEqual(list.map((string) => new TextDecoder().decode(string)));
    }
  });

  test.each([2, 3])('of version %i places tensors at the alignment, dimensions reversed', async (version) => {
    const q8 = { name: 'b', typeId: 8, shape: [3, 64], data: new Uint8Array(3 * 68) };
    const bytes = writeGguf({ tensors: [f32('a', 3), q8], align: 64, version });
    const { tensors, dataStart } = await read(bytes);
    expect(dataStart % 64).toBe(0);
    expect(tensors).toEqual([
      { name: 'a', type: 'F32', shape: [3], fileOffset: dataStart, byteLength: 12 },
      { name: 'b', type: 'Q8_0', shape: [3, 64], fileOffset: dataStart + 64, byteLength: 204 },
    ]);
    expect(dataStart + 64 + 204).toBe(bytes.length);
  });

  test('of a model with K-quants agrees with the file', async () => {
    const bytes = readFileSync(new URL('../../fixtures/models/dense-k.gguf', import.meta.url));
    const { metadata, tensors } = await read(new Uint8Array(bytes));
    expect(metadata.get('general.architecture')).toBe('qwen35');
    expect((metadata.get('tokenizer.ggml.tokens') as string[]).length).toBe(757);
    expect(new Set(tensors.map((t) => t.type))).toEqual(new Set(['F32', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K']));
    expect(tensors.find((t) => t.name === 'token_embd.weight')?.shape).toEqual([757, 256]);
  });

  test('of a real vocabulary takes few reads, in order, none beyond the end', async () => {
    const bytes = gunzipSync(readFileSync(new URL('../../fixtures/tokenizer/vocab.gguf.gz', import.meta.url)));
    const source = new BlobSource(new Blob([bytes]), 'vocab.gguf');
    const reads: number[] = [];
    const prefix = source.prefix.bind(source);
    source.prefix = (length, signal) => {
      reads.push(length);
      return prefix(length, signal);
    };
    const { metadata } = await readGgufHeader(source);
    expect((metadata.get('tokenizer.ggml.tokens') as string[]).length).toBe(151936);
    expect(reads.length).toBeLessThanOrEqual(4);
    expect(reads[1]).toBeGreaterThanOrEqual(FIRST_READ_BYTES);
    expect(Math.max(...reads)).toBeLessThanOrEqual(bytes.length);
  });
});

describe('a hostile header', () => {
  const valid = writeGguf({ metadata: { key: 'value' }, tensors: [f32('a')] });
  const withVersion = (version: number) => writeGguf({ version });
  const deep = header(0, 1).scalar('string', 'deep').scalar('u32', 9);
  for (let i = 0; i < 20; i++) deep.scalar('u32', 9).scalar('u64', 1);

  const text = (content: string) => new TextEncoder().encode(content);
  const tensorEntry = (dimensions: number[], typeId: number, offset = 0) => {
    const out = header(1, 0).scalar('string', 't').scalar('u32', dimensions.length);
    for (const size of dimensions) out.scalar('u64', size);
    return out.scalar('u32', typeId).scalar('u64', offset).padTo(4096).finish();
  };

  test.each<[string, Uint8Array<ArrayBuffer>, string, RegExp]>([
    ['nothing', new Uint8Array(0), 'truncated', /is empty/],
    ['three bytes', text('GGU'), 'not-a-gguf', /GGUF/],
    ['four bytes', text('GGUF'), 'truncated', /cut short/],
    ['HTML', text('<!doctype html><html>'), 'not-a-gguf', /web page/],
    ['a Git LFS pointer', text('version https://git-lfs.github.com/spec/v1\noid'), 'not-a-gguf', /Git LFS pointer/],
    ['safetensors', text('\x10\0\0\0\0\0\0\0{"__metadata__"'), 'not-a-gguf', /safetensors/],
    ['an old GGML file', text('lmgg\x01\0\0\0'), 'not-a-gguf', /before GGUF/],
    ['version 1', withVersion(1), 'unsupported-gguf', /version 1/],
    ['version 4', withVersion(4), 'unsupported-gguf', /version 4/],
    ['big-endian', withVersion(0x03000000), 'unsupported-gguf', /big-endian/],
    ['2^60 tensors', header(2n ** 60n, 0).finish(), 'corrupt-gguf', /number of tensors/],
    ['2^32 tensors', header(2 ** 32, 0).finish(), 'corrupt-gguf', /4294967296 tensors/],
    ['2^64 - 1 metadata entries', header(0, 2n ** 64n - 1n).finish(), 'corrupt-gguf', /metadata entries/],
    ['more entries than bytes', header(0, 100).finish(), 'truncated', /100 metadata entries/],
    [
      'a key of 2^40 bytes',
      header(0, 1)
        .scalar('u64', 2 ** 40)
        .padTo(64)
        .finish(),
      'corrupt-gguf',
      /metadata key/,
    ],
    ['a key of 70000 bytes', header(0, 1).scalar('u64', 70000).padTo(80000).finish(), 'corrupt-gguf', /70000 bytes/],
    [
      'a string beyond the end',
      header(0, 1).scalar('string', 'k').scalar('u32', 8).scalar('u64', 999).padTo(90).finish(),
      'truncated',
      /"k" is 999 bytes/,
    ],
    [
      'value type 13',
      header(0, 1).scalar('string', 'k').scalar('u32', 13).padTo(90).finish(),
      'corrupt-gguf',
      /value type 13/,
    ],
    [
      'an array of type 99',
      header(0, 1).scalar('string', 'k').scalar('u32', 9).scalar('u32', 99).padTo(90).finish(),
      'corrupt-gguf',
      /array of type 99/,
    ],
    [
      'an array of 2^50 floats',
      header(0, 1)
        .scalar('string', 'k')
        .scalar('u32', 9)
        .scalar('u32', 6)
        .scalar('u64', 2 ** 50)
        .padTo(90)
        .finish(),
      'corrupt-gguf',
      /elements of "k"/,
    ],
    [
      'an array of 2^50 strings',
      header(0, 1)
        .scalar('string', 'k')
        .scalar('u32', 9)
        .scalar('u32', 8)
        .scalar('u64', 2 ** 50)
        .padTo(90)
        .finish(),
      'corrupt-gguf',
      /elements of "k"/,
    ],
    [
      'an array of 2^50 arrays',
      header(0, 1)
        .scalar('string', 'k')
        .scalar('u32', 9)
        .scalar('u32', 9)
        .scalar('u64', 2 ** 50)
        .padTo(90)
        .finish(),
      'corrupt-gguf',
      /elements of "k"/,
    ],
    ['arrays nested 20 deep', deep.padTo(1000).finish(), 'corrupt-gguf', /nests arrays/],
    [
      'a boolean of 2',
      header(0, 1).scalar('string', 'k').scalar('u32', 7).scalar('u8', 2).padTo(90).finish(),
      'corrupt-gguf',
      /neither 0 nor 1/,
    ],
    [
      'a key twice',
      header(0, 2)
        .scalar('string', 'k')
        .scalar('u32', 0)
        .scalar('u8', 1)
        .scalar('string', 'k')
        .scalar('u32', 0)
        .scalar('u8', 1)
        .padTo(90)
        .finish(),
      'corrupt-gguf',
      /"k" appears twice/,
    ],
    ['an alignment of 0', writeGguf({ metadata: { 'general.alignment': 0 } }), 'corrupt-gguf', /alignment/],
    ['an alignment of 48', writeGguf({ metadata: { 'general.alignment': 48 } }), 'corrupt-gguf', /alignment is 48/],
    ['an alignment of 2^31', writeGguf({ metadata: { 'general.alignment': 2 ** 31 } }), 'corrupt-gguf', /alignment/],
    [
      'an alignment in words',
      writeGguf({ metadata: { 'general.alignment': 'wide' } }),
      'corrupt-gguf',
      /alignment is wide/,
    ],
    ['a tensor without dimensions', tensorEntry([], 0), 'corrupt-gguf', /0 dimensions/],
    ['a tensor of 5 dimensions', tensorEntry([1, 1, 1, 1, 1], 0), 'corrupt-gguf', /5 dimensions/],
    ['a dimension of 0', tensorEntry([4, 0], 0), 'corrupt-gguf', /dimension of 0/],
    ['a product beyond 2^53', tensorEntry([2 ** 30, 2 ** 30, 2 ** 30], 0), 'corrupt-gguf', /too large/],
    ['a product beyond 2^64', tensorEntry([2 ** 52, 2 ** 52, 2 ** 52, 2 ** 52], 0), 'corrupt-gguf', /too large/],
    ['half a block', tensorEntry([100], 12), 'corrupt-gguf', /no whole number of Q4_K blocks/],
    ['an unsupported type', tensorEntry([256], 34), 'unsupported-gguf', /TQ1_0.*F32, F16, Q4_0.*MXFP4/],
    ['an unknown type', tensorEntry([256], 1234), 'unsupported-gguf', /type 1234/],
    ['a tensor beyond the end', tensorEntry([2000], 0), 'truncated', /"t" ends at byte/],
    ['an offset of 2^52', tensorEntry([1], 0, 2 ** 52), 'truncated', /"t" ends at byte/],
    ['an odd offset', tensorEntry([1], 0, 7), 'corrupt-gguf', /not aligned/],
    ['a tensor twice', writeGguf({ tensors: [f32('a'), f32('a')] }), 'corrupt-gguf', /"a" appears twice/],
    [
      'overlapping tensors',
      writeGguf({ tensors: [f32('a', 16, 0), f32('b', 8, 32)] }),
      'corrupt-gguf',
      /"a" and "b" overlap/,
    ],
    ['one byte missing', valid.slice(0, -1), 'truncated', /"a" ends at byte/],
  ])('with %s is refused', async (_, bytes, code, message) => {
    const error = await read(bytes).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(QwenError);
    expect(error).toMatchObject({ code, file: 'model.gguf', message: expect.stringMatching(message) });
    expect((error as Error).message).toContain('model.gguf');
  });

  test('that would need more memory than any model is refused before it is read on', async () => {
    const endless = header(0, 1)
      .scalar('string', 'k')
      .scalar('u32', 9)
      .scalar('u32', 0)
      .scalar('u64', 2 ** 30);
    const crowded = header(2 ** 21, 0);
    for (const start of [endless.finish(), crowded.finish()]) {
      const source = new BlobSource(new Blob([start]), 'model.gguf');
      Object.defineProperty(source, 'size', { value: 2 ** 40 });
      const reads: number[] = [];
      source.prefix = async (length) => {
        reads.push(length);
        const bytes = new Uint8Array(length);
        bytes.set(start);
        return bytes;
      };
      await expect(readGgufHeader(source)).rejects.toMatchObject({ code: 'corrupt-gguf' });
      expect(reads).toEqual([FIRST_READ_BYTES]);
    }
  });

  test('cut anywhere is refused, and never hangs', async () => {
    const model = realHeader();
    const cuts = [...Array(200).keys(), ...Array.from({ length: 200 }, (_, i) => 200 + i * 197)];
    for (const cut of cuts.filter((length) => length < model.length)) {
      await expect(read(model.slice(0, cut)), `cut at ${cut}`).rejects.toBeInstanceOf(QwenError);
    }
  });

  test('with random bytes changed parses or is refused', async () => {
    const model = realHeader();
    const random = seededRandom(35);
    let refused = 0;
    for (let round = 0; round < 1500; round++) {
      const bytes = model.slice();
      const flips = 1 + Math.floor(random() * 8);
      for (let i = 0; i < flips; i++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      // Half of the rounds aim at the counts and lengths at the start.
      if (round % 2) bytes[4 + Math.floor(random() * 200)] = Math.floor(random() * 256);
      try {
        await read(bytes);
      } catch (error) {
        if (!(error instanceof QwenError)) throw new Error(`round ${round}`, { cause: error });
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(100);
  });

  /** The header of a real model, with all its metadata, and one small tensor instead of its own. */
  function realHeader(): Uint8Array<ArrayBuffer> {
    const names = ['token_embd.weight', 'blk.0.attn_norm.weight', 'output_norm.weight'];
    return writeGguf({
      metadata: {
        'general.architecture': 'qwen35',
        'qwen35.block_count': 4,
        'qwen35.attention.layer_norm_rms_epsilon': ['f32', 1e-6],
        'qwen35.rope.dimension_sections': ['array', 'i32', [11, 11, 10, 0]],
        'qwen35.attention.recurrent_layers': ['array', 'bool', [true, true, true, false]],
        'tokenizer.ggml.tokens': ['array', 'string', Array.from({ length: 757 }, (_, i) => `Ġtoken${i}`)],
        'tokenizer.ggml.token_type': ['array', 'i32', Array.from({ length: 757 }, () => 1)],
      },
      tensors: names.map((name) => f32(name, 64)),
    });
  }
});

test('every tensor type has its own number and size', () => {
  expect(tensorTypes).toHaveLength(23);
  for (const type of tensorTypes) expect(tensorTypeOfId(quantTypes[type].id)).toBe(type);
  expect(rowBytes('Q6_K', 512)).toBe(420);
  expect(() => rowBytes('Q6_K', 100)).toThrow(RangeError);
});

/** mulberry32 */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

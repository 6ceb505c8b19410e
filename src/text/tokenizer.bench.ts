/** How long a vocabulary takes to become a tokenizer, and a text tokens. `npx vitest bench --run --project node src/text` */
import { bench, describe } from 'vitest';
import type { GgufMetadata } from '../weights/types.ts';
import { largeVocabulary, readJsonFixture } from './fixtures.ts';
import { Tokenizer } from './tokenizer.ts';

const large = await largeVocabulary();
const published = widened(large, 248_320);
const tokenizer = new Tokenizer(large);

/** The texts of the test vectors over and over: many scripts, code, emoji, white space. 622k characters, 276k tokens. */
const vectors = readJsonFixture<{ text: string }[]>('tokenizer/vectors.json');
const mixed = vectors.map(({ text }) => text).join('\n');
const long = mixed.repeat(Math.ceil(600_000 / mixed.length));

const options = { time: 0, iterations: 5, warmupTime: 0, warmupIterations: 1 };

describe('construction', () => {
  bench('152k tokens', () => void new Tokenizer(large), options);
  bench('248k tokens', () => void new Tokenizer(published), options);
});

describe('encoding', () => {
  bench('mixed text, 622k characters', () => void tokenizer.encode(long), options);
  bench('200k spaces', () => void tokenizer.encode(' '.repeat(200_000)), options);
  bench('200k times the same letter', () => void tokenizer.encode('a'.repeat(200_000)), options);
  bench('200k ideographs', () => void tokenizer.encode('中'.repeat(200_000)), options);
});

/** A vocabulary of `size` tokens: pairs of existing ones and their merges are added until it is that large. */
function widened(metadata: GgufMetadata, size: number): GgufMetadata {
  const tokens = [...(metadata.get('tokenizer.ggml.tokens') as string[])];
  const merges = [...(metadata.get('tokenizer.ggml.merges') as string[])];
  const types = new Int32Array(size).fill(1);
  types.set(metadata.get('tokenizer.ggml.token_type') as Int32Array);
  const known = new Set(tokens);
  for (let i = 1000; tokens.length < size; i++) {
    const [left, right] = [tokens[i], tokens[((i * 7) % 50_000) + 500]];
    if (known.has(left + right)) continue;
    known.add(left + right);
    tokens.push(left + right);
    merges.push(`${left} ${right}`);
  }
  return new Map(metadata)
    .set('tokenizer.ggml.tokens', tokens)
    .set('tokenizer.ggml.merges', merges)
    .set('tokenizer.ggml.token_type', types);
}

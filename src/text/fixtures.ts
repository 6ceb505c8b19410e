/** Vocabularies for the tests of this room and of `api/`, read by our own GGUF parser. Imported by tests alone. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { BlobSource } from '../weights/byte-source.ts';
import { readGgufHeader } from '../weights/gguf.ts';
import type { GgufMetadata } from '../weights/types.ts';

export function readFixture(path: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL(`../../fixtures/${path}`, import.meta.url)));
}

export function readJsonFixture<T>(path: string): T {
  return JSON.parse(new TextDecoder().decode(readFixture(path))) as T;
}

/** A real vocabulary of 151,936 tokens, with three control tokens. */
export const largeVocabulary = (): Promise<GgufMetadata> =>
  metadataOf(new Uint8Array(gunzipSync(readFixture('tokenizer/vocab.gguf.gz'))));

/** 757 tokens, with all of Qwen's markers and the published chat template. */
export const smallVocabulary = (): Promise<GgufMetadata> => metadataOf(readFixture('models/dense-k.gguf'));

async function metadataOf(bytes: Uint8Array<ArrayBuffer>): Promise<GgufMetadata> {
  return (await readGgufHeader(new BlobSource(new Blob([bytes]), 'fixture.gguf'))).metadata;
}

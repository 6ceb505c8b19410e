/** A fixture model whose answers do not end by themselves, so that a test can watch one and stop it when it likes. */
import { readFile } from 'node:fs/promises';
import { BlobSource } from '../src/weights/byte-source.ts';
import { readGgufHeader } from '../src/weights/gguf.ts';

/** Markers that end an answer. */
const ENDS = ['<|im_end|>', '<|endoftext|>'];

/**
 * `dense-f32.gguf` with rows of zeros for the markers that end an answer. Its embedding is tied and its logits have a
 * standard deviation of 3, so a logit of 0 is never among the best that are drawn from.
 */
export async function talkativeModel(): Promise<{ bytes: Uint8Array<ArrayBuffer>; dataStart: number }> {
  const bytes = new Uint8Array(await readFile('fixtures/models/dense-f32.gguf'));
  const { metadata, tensors, dataStart } = await readGgufHeader(new BlobSource(new Blob([bytes])));
  const vocabulary = metadata.get('tokenizer.ggml.tokens') as readonly string[];
  const embedding = tensors.find(({ name }) => name === 'token_embd.weight')!;
  const rowBytes = embedding.byteLength / vocabulary.length;
  for (const marker of ENDS) {
    const start = embedding.fileOffset + vocabulary.indexOf(marker) * rowBytes;
    bytes.fill(0, start, start + rowBytes);
  }
  return { bytes, dataStart };
}

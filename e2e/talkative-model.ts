/** A fixture model whose answers do not end by themselves, so that a test can watch one and stop it when it likes. */
import { readFile } from 'node:fs/promises';
import { BlobSource } from '../src/weights/byte-source.ts';
import { readGgufHeader } from '../src/weights/gguf.ts';

/** Markers that end an answer. */
const ENDS = ['<|im_end|>', '<|endoftext|>'];

/**
 * A fixture with rows of zeros for the markers that end an answer, in its output or the embedding that is used in its
 * place. Its logits have a standard deviation of 3, so a logit of 0 is never among the best that are drawn from.
 */
export async function talkativeModel(
  name = 'dense-f32',
): Promise<{ bytes: Uint8Array<ArrayBuffer>; dataStart: number }> {
  const bytes = new Uint8Array(await readFile(`fixtures/models/${name}.gguf`));
  const { metadata, tensors, dataStart } = await readGgufHeader(new BlobSource(new Blob([bytes])));
  const vocabulary = metadata.get('tokenizer.ggml.tokens') as readonly string[];
  const find = (wanted: string) => tensors.find((tensor) => tensor.name === wanted);
  const output = (find('output.weight') ?? find('token_embd.weight'))!;
  const rowBytes = output.byteLength / vocabulary.length;
  for (const marker of ENDS) {
    const start = output.fileOffset + vocabulary.indexOf(marker) * rowBytes;
    bytes.fill(0, start, start + rowBytes);
  }
  return { bytes, dataStart };
}

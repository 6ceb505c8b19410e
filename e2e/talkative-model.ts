/** A fixture model whose answers do not end by themselves, so that a test can watch one and stop it when it likes. */
import { readFile } from 'node:fs/promises';
import { BlobSource } from '../src/weights/byte-source.ts';
import { readGgufHeader } from '../src/weights/gguf.ts';
import { quantTypes } from '../src/weights/quant-types.ts';
import type { GgufValue } from '../src/weights/types.ts';
import { type WriterValue, writeGguf } from '../tools/gguf-writer.ts';

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

/** Times that each expert of the fixture is there. */
const COPIES = 8;

/**
 * The talkative `moe-f16.gguf` with every expert eight times, at the end of the file: most of it is experts, and an answer
 * asks for few of them, so much of the download is left when the model can be asked and when it has answered.
 */
export async function manyExperts(): Promise<{ bytes: Uint8Array<ArrayBuffer>; experts: number; layers: number }> {
  const { bytes } = await talkativeModel('moe-f16');
  const { metadata, tensors } = await readGgufHeader(new BlobSource(new Blob([bytes])));
  const [layers, experts] = ['block_count', 'expert_count'].map((key) => Number(metadata.get(`qwen35moe.${key}`)));
  const isOfExperts = (name: string) => /_exps\.weight$/.test(name);
  const written = tensors.map(({ name, type, shape, fileOffset, byteLength }) => {
    const once = bytes.subarray(fileOffset, fileOffset + byteLength);
    const perExpert = isOfExperts(name) || /ffn_gate_inp\.weight$/.test(name);
    const data = perExpert ? Buffer.concat(Array<Uint8Array>(COPIES).fill(once)) : once;
    const [first, ...rest] = shape;
    return { name, typeId: quantTypes[type].id, shape: [perExpert ? first * COPIES : first, ...rest], data };
  });
  return {
    layers,
    experts: experts * COPIES,
    bytes: writeGguf({
      metadata: {
        ...Object.fromEntries(Array.from(metadata, ([key, value]) => [key, writable(value)])),
        'qwen35moe.expert_count': experts * COPIES,
      },
      tensors: written.sort((a, b) => Number(isOfExperts(a.name)) - Number(isOfExperts(b.name))),
    }),
  };
}

/** A value as it was read, for writing. */
function writable(value: GgufValue): WriterValue | string | number | boolean {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'object') return value;
  const values = Array.from(value as ArrayLike<string | number | boolean>);
  const [first] = values;
  if (typeof first === 'string') return ['array', 'string', values];
  return ['array', typeof first === 'boolean' ? 'bool' : 'i32', values];
}

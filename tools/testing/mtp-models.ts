/** Small models with an MTP block, made where a test wants them. */
import { gguf } from '../fixtures/gguf-writer.mjs';
import { textModel } from '../fixtures/models.mjs';
import { toHalf } from './random.ts';

const shape = { heads: 2, kvHeads: 1, keyHeads: 2, valueHeads: 2, hidden: 128, mtpLayers: 1 };

/**
 * A model whose next token depends on the last one alone, and whose MTP block knows how: its layers add nothing to the
 * embedding, and the block passes the next token's on as it is. With a temperature many of its drafts are wrong.
 */
export function foreseeableModel(): File {
  const { metadata, tensors } = textModel({ ...shape, seed: 201, name: 'foreseeable', ffn: 192, types: () => 'F16' });
  const silent = /(attn_output|ssm_out|ffn_down)\.weight$/;
  const alike = /(enorm|shared_head_norm|output_norm)\.weight$/;
  const changed = tensors.map((tensor) => {
    const { name, data } = tensor;
    if (silent.test(name)) return { ...tensor, data: new Uint8Array(data.length) };
    if (alike.test(name)) return { ...tensor, data: bytesOf(new Float32Array(shape.hidden).fill(1)) };
    if (name.endsWith('eh_proj.weight')) return { ...tensor, data: firstHalf(shape.hidden) };
    return tensor;
  });
  return fileOf('foreseeable', metadata, changed);
}

/** `[n, 2·n]` halves: what it multiplies comes out without its second half. */
function firstHalf(n: number): Uint8Array<ArrayBuffer> {
  const halves = new Uint16Array(2 * n * n);
  for (let i = 0; i < n; i++) halves[2 * n * i + i] = toHalf(1);
  return bytesOf(halves);
}

/** A model of random weights with experts, also in its MTP block. */
export function expertsWithMtp(): File {
  const ffn = { count: 9, used: 3, ff: 64, sharedFf: 64 };
  const { metadata, tensors } = textModel({ ...shape, seed: 202, name: 'moe with mtp', ffn, types: () => 'F16' });
  return fileOf('moe-mtp', metadata, tensors);
}

function fileOf(name: string, ...[metadata, tensors]: Parameters<typeof gguf>): File {
  return new File([Uint8Array.from(gguf(metadata, tensors))], `${name}.gguf`);
}

function bytesOf(values: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(values.buffer);
}

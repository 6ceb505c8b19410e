import { expect, test } from 'vitest';
import { type WriterTensor, writeGguf } from '../../tools/gguf-writer.ts';
import { fixture } from '../../tools/testing/fixtures.ts';
import { openTestGpu } from '../../tools/testing/kernels.ts';
import { loadTextModel } from '../model/text-model.ts';
import { openWeights } from '../weights/index.ts';
import { quantTypes } from '../weights/quant-types.ts';
import type { GgufScalar, TensorInfo, Weights } from '../weights/types.ts';
import { StepRunner } from './step-runner.ts';

const IDS = [5, 17, 300, 4, 9, 41, 7];

async function logitsOf(file: Blob): Promise<Float32Array> {
  const gpu = await openTestGpu();
  const weights = await openWeights(file, { store: 'none' });
  const model = await loadTextModel(gpu, weights);
  const runner = new StepRunner(gpu, model, { contextLength: 64, f16: false });
  const logits = await runner.logits(IDS, IDS.length - 1);
  gpu.dispose();
  return logits;
}

const bytesOf = (tensor: TensorInfo) => tensor.read(0, tensor.byteLength);

/** The model's file again, with tensors renamed, fused or left out by `change`, and keys added. */
async function rewrite(
  { metadata, tensors }: Weights,
  change: (tensors: Map<string, { type: TensorInfo['type']; shape: readonly number[]; data: Uint8Array }>) => void,
  keys: Record<string, number> = {},
): Promise<Blob> {
  const read = new Map<string, { type: TensorInfo['type']; shape: readonly number[]; data: Uint8Array }>();
  for (const tensor of tensors.values()) read.set(tensor.name, { ...tensor, data: await bytesOf(tensor) });
  change(read);
  const scalars = [...metadata].filter((entry): entry is [string, Exclude<GgufScalar, bigint>] =>
    ['number', 'boolean', 'string'].includes(typeof entry[1]),
  );
  const floats = new Set(['qwen35.attention.layer_norm_rms_epsilon', 'qwen35.rope.freq_base']);
  return new File(
    [
      writeGguf({
        metadata: {
          ...Object.fromEntries(scalars.map(([k, v]) => [k, floats.has(k) ? (['f32', v] as const) : v])),
          'qwen35.rope.dimension_sections': ['array', 'i32', [11, 11, 10, 0]],
          ...keys,
        },
        tensors: [...read].map(
          ([name, { type, shape, data }]): WriterTensor => ({ name, typeId: quantTypes[type].id, shape, data }),
        ),
      }),
    ],
    'rewritten.gguf',
  );
}

test('a fused attn_qkv in an attention layer gives the same logits as its parts', async () => {
  const original = await fixture('models/dense-f32.gguf');
  const weights = await openWeights(original, { store: 'none' });
  const fused = await rewrite(weights, (tensors) => {
    const parts = ['q', 'k', 'v'].map((part) => tensors.get(`blk.3.attn_${part}.weight`)!);
    for (const part of ['q', 'k', 'v']) tensors.delete(`blk.3.attn_${part}.weight`);
    const data = new Uint8Array(parts.reduce((sum, part) => sum + part.data.length, 0));
    let at = 0;
    for (const part of parts) {
      data.set(part.data, at);
      at += part.data.length;
    }
    const rows = parts.reduce((sum, part) => sum + part.shape[0], 0);
    tensors.set('blk.3.attn_qkv.weight', { type: 'F32', shape: [rows, parts[0].shape[1]], data });
  });
  expect(await logitsOf(fused)).toEqual(await logitsOf(original));
});

test('an output matrix equal to the embedding gives the same logits as tied ones', async () => {
  const original = await fixture('models/dense-f32.gguf');
  const weights = await openWeights(original, { store: 'none' });
  expect(weights.tensors.has('output.weight')).toBe(false);
  const untied = await rewrite(weights, (tensors) => {
    tensors.set('output.weight', tensors.get('token_embd.weight')!);
  });
  expect(await logitsOf(untied)).toEqual(await logitsOf(original));
});

test('a missing tensor and a wrong shape are named, and nothing stays on the GPU', async () => {
  const weights = await openWeights(await fixture('models/dense-f32.gguf'), { store: 'none' });
  const gpu = await openTestGpu();
  for (const [change, message] of [
    [(t: Map<string, unknown>) => t.delete('blk.2.ssm_norm.weight'), 'blk.2.ssm_norm.weight'],
    [
      (t: Map<string, { type: TensorInfo['type']; shape: readonly number[]; data: Uint8Array }>) => {
        const q = t.get('blk.3.attn_q.weight')!;
        t.set('blk.3.attn_q.weight', { ...q, shape: [q.shape[0] / 2, q.shape[1] * 2] });
      },
      'blk.3.attn_q.weight',
    ],
  ] as const) {
    const file = await openWeights(await rewrite(weights, change as Parameters<typeof rewrite>[1]), { store: 'none' });
    await expect(loadTextModel(gpu, file)).rejects.toMatchObject({
      code: 'corrupt-gguf',
      message: expect.stringContaining(message),
    });
    expect(gpu.bytes).toBe(0);
  }
  gpu.dispose();
});

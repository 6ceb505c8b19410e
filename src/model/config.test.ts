import { describe, expect, test } from 'vitest';
import { QwenError } from '../errors.ts';
import type { GgufValue, TensorInfo } from '../weights/types.ts';
import { readConfig } from './config.ts';

const VALID: Readonly<Record<string, GgufValue>> = {
  'general.architecture': 'qwen35moe',
  'general.name': 'a model',
  'qwen35moe.block_count': 9,
  'qwen35moe.nextn_predict_layers': 1,
  'qwen35moe.context_length': 262_144,
  'qwen35moe.embedding_length': 2048,
  'qwen35moe.attention.head_count': 16,
  'qwen35moe.attention.head_count_kv': 2,
  'qwen35moe.attention.key_length': 256,
  'qwen35moe.attention.value_length': 256,
  'qwen35moe.attention.layer_norm_rms_epsilon': 1e-6,
  'qwen35moe.rope.freq_base': 1e7,
  'qwen35moe.rope.dimension_count': 64,
  'qwen35moe.rope.dimension_sections': new Int32Array([11, 11, 10, 0]),
  'qwen35moe.ssm.conv_kernel': 4,
  'qwen35moe.ssm.state_size': 128,
  'qwen35moe.ssm.group_count': 16,
  'qwen35moe.ssm.time_step_rank': 32,
  'qwen35moe.ssm.inner_size': 4096,
  'qwen35moe.expert_count': 256,
  'qwen35moe.expert_used_count': 8,
  'qwen35moe.expert_feed_forward_length': 512,
  'qwen35moe.expert_shared_feed_forward_length': 512,
};

function config(changes: Readonly<Record<string, GgufValue | undefined>> = {}) {
  const metadata = new Map<string, GgufValue>();
  for (const [key, value] of Object.entries({ ...VALID, ...changes }))
    if (value !== undefined) metadata.set(key, value);
  const embedding = { name: 'token_embd.weight', shape: [1000, 2048] } as unknown as TensorInfo;
  return readConfig({ metadata, name: 'file', tensors: new Map([[embedding.name, embedding]]) });
}

describe('readConfig', () => {
  test('reads sizes and leaves MTP blocks out of the layers', () => {
    const { layers, attention, deltaNet, ffn, rope, vocabulary } = config();
    expect(layers).toEqual(Array.from({ length: 8 }, (_, i) => (i % 4 === 3 ? 'attention' : 'deltaNet')));
    expect(attention).toEqual({ heads: 16, kvHeads: 2, headDim: 256, rotaryDim: 64 });
    expect(deltaNet).toEqual({ keyHeads: 16, valueHeads: 32, headDim: 128 });
    expect(ffn).toEqual({ kind: 'moe', experts: 256, topK: 8, expertWidth: 512, sharedWidth: 512, scale: 1 });
    expect(rope).toEqual({ base: 1e7, dim: 64, sections: [11, 11, 10, 0] });
    expect(vocabulary).toBe(1000);
  });

  test('follows another interval, and a list of recurrent layers before any interval', () => {
    expect(config({ 'qwen35moe.full_attention_interval': 2 }).layers.filter((k) => k === 'attention')).toHaveLength(4);
    const list = [true, false, true, true, true, false, true, true, true];
    expect(
      config({ 'qwen35moe.attention.recurrent_layers': list, 'qwen35moe.full_attention_interval': 2 }).layers,
    ).toEqual(list.slice(0, 8).map((recurrent) => (recurrent ? 'deltaNet' : 'attention')));
  });

  test('reads YaRN, with llama.cpp’s defaults, and what context it allows', () => {
    const { rope, contextLength } = config({
      'qwen35moe.rope.scaling.type': 'yarn',
      'qwen35moe.rope.scaling.factor': 4,
      'qwen35moe.rope.scaling.attn_factor': 0.5,
    });
    const yarn = { factor: 4, originalContextLength: 262_144, attentionFactor: 0.5, betaFast: 32, betaSlow: 1 };
    expect(rope.yarn).toEqual(yarn);
    expect(contextLength).toBe(1_048_576);
    const other = config({
      'qwen35moe.context_length': 131_072,
      'qwen35moe.rope.scaling.type': 'yarn',
      'qwen35moe.rope.scaling.factor': 4,
      'qwen35moe.rope.scaling.original_context_length': 32_768,
      'qwen35moe.rope.scaling.yarn_beta_fast': 16,
      'qwen35moe.rope.scaling.yarn_beta_slow': 2,
    });
    expect(other.rope.yarn).toMatchObject({ originalContextLength: 32_768, betaFast: 16, betaSlow: 2 });
    expect(other.contextLength).toBe(131_072);
  });

  test('takes a size given once per layer', () => {
    const perLayer = new Uint32Array([0, 0, 0, 2, 0, 0, 0, 2, 2]);
    expect(config({ 'qwen35moe.attention.head_count_kv': perLayer }).attention.kvHeads).toBe(2);
  });

  test.each<[what: string, code: string, changes: Record<string, GgufValue | undefined>]>([
    ['another architecture', 'unsupported-gguf', { 'general.architecture': 'llama' }],
    ['a longer convolution', 'unsupported-gguf', { 'qwen35moe.ssm.conv_kernel': 8 }],
    ['positions scaled otherwise', 'unsupported-gguf', { 'qwen35moe.rope.scaling.type': 'longrope' }],
    [
      'an impossible scaling',
      'corrupt-gguf',
      { 'qwen35moe.rope.scaling.type': 'yarn', 'qwen35moe.rope.scaling.factor': -4 },
    ],
    [
      'heads that no workgroup halves',
      'unsupported-gguf',
      { 'qwen35moe.attention.key_length': 96, 'qwen35moe.attention.value_length': 96 },
    ],
    ['a missing size', 'corrupt-gguf', { 'qwen35moe.embedding_length': undefined }],
    ['text for a size', 'corrupt-gguf', { 'qwen35moe.block_count': 'many' }],
    ['a negative size', 'corrupt-gguf', { 'qwen35moe.block_count': -1 }],
    ['a fractional size', 'corrupt-gguf', { 'qwen35moe.embedding_length': 10.5 }],
    ['an absurd size', 'corrupt-gguf', { 'qwen35moe.expert_count': 2 ** 40 }],
    ['only MTP blocks', 'corrupt-gguf', { 'qwen35moe.nextn_predict_layers': 9 }],
    ['uneven head groups', 'corrupt-gguf', { 'qwen35moe.attention.head_count': 15 }],
    ['uneven value heads', 'corrupt-gguf', { 'qwen35moe.ssm.time_step_rank': 30 }],
    ['more chosen experts than there are', 'corrupt-gguf', { 'qwen35moe.expert_used_count': 300 }],
    ['an interval of 0', 'corrupt-gguf', { 'qwen35moe.full_attention_interval': 0 }],
    ['a short list of layers', 'corrupt-gguf', { 'qwen35moe.attention.recurrent_layers': [true, false] }],
  ])('refuses %s as %s, naming the file', (_, code, changes) => {
    const error = (() => {
      try {
        config(changes);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(QwenError);
    expect(error).toMatchObject({ code, file: 'file' });
  });
});

import { expect, test } from 'vitest';
import { openTestGpu } from '../../tools/testing/kernels.ts';
import { type KvType, kvHeadBytes, kvRowBytes } from '../kernels/attention.ts';
import type { ModelConfig } from './config.ts';
import { SequenceState } from './state.ts';

const types: readonly KvType[] = ['f32', 'f16', 'q8_0'];

test.each(types)('a cache of %s keeps its keys and values when it grows', async (kv) => {
  const gpu = await openTestGpu();
  const attention = { heads: 2, kvHeads: 2, headDim: 32, rotaryDim: 16 };
  const config = {
    layers: ['attention'],
    attention,
    deltaNet: { keyHeads: 1, valueHeads: 1, headDim: 32 },
  } as unknown as ModelConfig;
  // The second capacity is no power of two, and heads are padded there.
  const state = new SequenceState(gpu, config, { contextLength: 1301, kv });
  const [first] = state.layers;
  if (first.kind !== 'attention') throw new Error('no cache');
  const rowBytes = kvRowBytes(attention, kv);
  const rows = (head: number) => Uint8Array.from({ length: 40 * rowBytes }, (_, i) => (i * 7 + 31 * head + 1) % 251);
  for (const head of [0, 1]) {
    gpu.write(first.k, head * kvHeadBytes(attention, kv, state.capacity), rows(head));
    gpu.write(first.v, head * kvHeadBytes(attention, kv, state.capacity), rows(head + 2));
  }
  state.position = 40;
  expect(state.reserve(1024)).toBe(false);
  expect(state.reserve(1025)).toBe(true);
  expect(state.capacity).toBe(1301);
  for (const head of [0, 1]) {
    const at = head * kvHeadBytes(attention, kv, 1301);
    const [k, v] = [await gpu.read(first.k), await gpu.read(first.v)];
    expect(new Uint8Array(k, at, 40 * rowBytes)).toEqual(rows(head));
    expect(new Uint8Array(v, at, 40 * rowBytes)).toEqual(rows(head + 2));
  }
  state.dispose();
  expect(gpu.liveBuffers).toBe(0);
  gpu.dispose();
});

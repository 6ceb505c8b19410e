/** How many dispatches a token costs: counted, not timed, so the bounds hold on any machine. */
import { afterAll, describe, expect, test } from 'vitest';
import { fixture } from '../../tools/testing/fixtures.ts';
import { openTestGpu } from '../../tools/testing/kernels.ts';
import { type Gpu, Recorder } from '../gpu/index.ts';
import { openWeights } from '../weights/index.ts';
import { readConfig } from './config.ts';
import { decoder, feedForwardMark, layerMark } from './decoder.ts';
import type { Pass } from './pass.ts';
import { Scratch } from './scratch.ts';
import { SequenceState } from './state.ts';
import { TensorLoader } from './tensor-loader.ts';
import { allocateTextModel } from './text-model.ts';

const gpu = await openTestGpu();
afterAll(() => gpu.dispose());

/** Most dispatches of a layer's two parts, by kind. */
interface Counts {
  attention: number;
  deltaNet: number;
  feedForward: number;
}

/** Records a pass on a device that does nothing. */
async function count(files: readonly string[], device: Gpu, tokens: number): Promise<Counts> {
  const weights = await openWeights(await Promise.all(files.map((file) => fixture(`models/${file}`))), {
    store: 'none',
  });
  const config = readConfig(weights);
  const model = allocateTextModel(new TensorLoader(device, weights), config);
  const state = new SequenceState(device, config, { contextLength: 512, kvF16: false });
  const scratch = new Scratch(device, tokens);
  const input = { tokens: scratch.rows('tokens', 1), rope: scratch.rows('rope', config.rope.dim) };
  const rec = new Recorder(device);
  const pass: Pass = { rec, config, scratch, input, tokens, f16: false };
  decoder(pass, model, state);
  const counts = { attention: 0, deltaNet: 0, feedForward: 0 };
  for (const [i, kind] of config.layers.entries()) {
    const mixer = rec.dispatchesBetween(layerMark(i), feedForwardMark(i));
    const feedForward = rec.dispatchesBetween(feedForwardMark(i), layerMark(i + 1));
    counts[kind] = Math.max(counts[kind], mixer);
    counts.feedForward = Math.max(counts.feedForward, feedForward);
  }
  weights.close();
  return counts;
}

const MOE = [1, 2, 3, 4].map((n) => `moe-q4_k_m-0000${n}-of-00004.gguf`);

/** Storage buffers a stage: the least that WebGPU promises, what desktop browsers offer, and this adapter's own. */
const limits = [8, 10, undefined];

describe.each(limits)('a token on a device that binds %s buffers', (maxStorageBuffersPerShaderStage) => {
  const device = gpu.rehearsal(maxStorageBuffersPerShaderStage ? { maxStorageBuffersPerShaderStage } : {});

  test.each([
    { title: 'one type throughout', files: ['dense-f32.gguf'], deltaNet: 5, attention: 6, feedForward: 2 },
    { title: 'as published, mixed little', files: MOE, deltaNet: 6, attention: 6, feedForward: 6 },
    { title: 'experts of one type', files: ['moe-f16.gguf'], deltaNet: 5, attention: 6, feedForward: 6 },
    { title: 'a trained model', files: ['tiny-q4_k_m.gguf'], deltaNet: 6, attention: 7, feedForward: 6 },
  ])('$title: at most so many dispatches a layer', async ({ title: _, files, ...most }) => {
    const counts = await count(files, device, 1);
    expect(counts).toEqual(most);
    // What every dense layer and every block of experts is held to.
    if (counts.feedForward < 6) {
      expect(Math.max(counts.deltaNet, counts.attention) + counts.feedForward).toBeLessThanOrEqual(8);
    }
  });
});

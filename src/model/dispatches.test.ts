/** How many dispatches a token costs: counted, not timed, so the bounds hold on any machine. */
import { afterAll, describe, expect, test } from 'vitest';
import { fixture } from '../../tools/testing/fixtures.ts';
import { openTestGpu } from '../../tools/testing/kernels.ts';
import { type Gpu, Recorder } from '../gpu/index.ts';
import { isSoftware } from '../kernels/lanes.ts';
import { openWeights } from '../weights/index.ts';
import { readConfig } from './config.ts';
import { decoder, feedForwardMark, layerMark } from './decoder.ts';
import type { Pass } from './pass.ts';
import { Scratch } from './scratch.ts';
import { SequenceState } from './state.ts';
import { TensorLoader } from './tensor-loader.ts';
import { allocateTextModel } from './text-model.ts';

/** Without subgroups a device counts as a GPU, whose products norm their input; with narrow ones it is a processor. */
const gpu = await openTestGpu(['subgroups']);
const software = await openTestGpu();
afterAll(() => {
  for (const device of [gpu, software]) device.dispose();
});

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

/** Storage buffers a stage: the least that WebGPU promises, and what desktop browsers offer. */
describe.each([8, 10])('a token on a GPU that binds %i buffers', (maxStorageBuffersPerShaderStage) => {
  const device = gpu.rehearsal({ maxStorageBuffersPerShaderStage });
  // A codebook, three planes, slots, the step, x and y leave the eighth binding for none: the norm is a dispatch.
  const codebook = maxStorageBuffersPerShaderStage < 9 ? 7 : 6;

  test.each([
    { title: 'one type throughout', files: ['dense-f32.gguf'], deltaNet: 5, attention: 6, feedForward: 2 },
    { title: 'a published mix', files: MOE, deltaNet: 6, attention: 6, feedForward: 6 },
    { title: 'experts of one type', files: ['moe-f16.gguf'], deltaNet: 5, attention: 6, feedForward: 6 },
    { title: 'the trained model', files: ['tiny-q4_k_m.gguf'], deltaNet: 6, attention: 7, feedForward: 6 },
    { title: 'a dynamic mix', files: ['moe-dynamic.gguf'], deltaNet: 6, attention: 6, feedForward: codebook },
    { title: 'a type of its own for each', files: ['dense-k.gguf'], deltaNet: 7, attention: 7, feedForward: 3 },
  ])('$title', async ({ title: _, files, ...expected }) => {
    expect(await count(files, device, 1)).toEqual(expected);
  });
});

describe.runIf(isSoftware(software))('a token on a software adapter, whose norms are dispatches', () => {
  test.each([
    { title: 'one type throughout', files: ['dense-f32.gguf'], deltaNet: 6, attention: 7, feedForward: 3 },
    { title: 'a published mix', files: MOE, deltaNet: 7, attention: 7, feedForward: 7 },
  ])('$title', async ({ title: _, files, ...expected }) => {
    expect(await count(files, software.rehearsal(), 1)).toEqual(expected);
  });
});

/** How many dispatches a token costs: counted, not timed, so the bounds hold on any machine. */
import { afterAll, describe, expect, test } from 'vitest';
import { fixture } from '../../tools/testing/fixtures.ts';
import { openTestGpu } from '../../tools/testing/kernels.ts';
import { type Gpu, Recorder } from '../gpu/index.ts';
import { isSoftware } from '../kernels/lanes.ts';
import { MATVEC_TOKENS, matmulShape } from '../kernels/matmul.ts';
import { openWeights } from '../weights/index.ts';
import { type ModelConfig, readConfig } from './config.ts';
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
async function record(
  files: readonly string[],
  device: Gpu,
  tokens: number,
  int8 = false,
): Promise<{ rec: Recorder; config: ModelConfig }> {
  const weights = await openWeights(await Promise.all(files.map((file) => fixture(`models/${file}`))), {
    store: 'none',
  });
  const config = readConfig(weights);
  const model = allocateTextModel(new TensorLoader(device, weights), config);
  const state = new SequenceState(device, config, { contextLength: 512, kv: 'f32' });
  const scratch = new Scratch(device, tokens);
  const input = { tokens: scratch.rows('tokens', 1), rope: scratch.rows('rope', config.rope.dim) };
  const rec = new Recorder(device);
  const pass: Pass = { rec, config, scratch, input, tokens, f16: false, int8 };
  decoder(pass, model, state);
  weights.close();
  return { rec, config };
}

async function count(files: readonly string[], device: Gpu, tokens: number): Promise<Counts> {
  const { rec, config } = await record(files, device, tokens);
  const counts = { attention: 0, deltaNet: 0, feedForward: 0 };
  for (const [i, kind] of config.layers.entries()) {
    const mixer = rec.dispatchesBetween(layerMark(i), feedForwardMark(i));
    const feedForward = rec.dispatchesBetween(feedForwardMark(i), layerMark(i + 1));
    counts[kind] = Math.max(counts[kind], mixer);
    counts.feedForward = Math.max(counts.feedForward, feedForward);
  }
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

describe('x as small integers', () => {
  const device = software.rehearsal();
  const integers = matmulShape(device, 'wide', false, true).kind === 'int8 lanes';
  const quantised = async (files: readonly string[], tokens: number, int8: boolean) => {
    const { rec, config } = await record(files, device, tokens, int8);
    const count = rec.variants.filter(({ name }) => name === 'quantize_activations').length;
    return count / config.layers.length;
  };

  // The input's norm, what the mixer gives, the feed-forward's norm, and its inner row; of experts, those and the shared one's.
  test.runIf(integers).each([
    { title: 'a type of its own for each', files: ['dense-k.gguf'], each: 4 },
    { title: 'experts', files: MOE, each: 5 },
  ])('is made once for all products that share it: $title', async ({ files, each }) => {
    expect(await quantised(files, 32, true)).toBe(each);
  });

  test('is not made for few tokens, without leave, or for weights that are none', async () => {
    expect(await quantised(['dense-k.gguf'], MATVEC_TOKENS, true)).toBe(0);
    expect(await quantised(['dense-k.gguf'], 32, false)).toBe(0);
    expect(await quantised(['dense-f32.gguf'], 32, true)).toBe(0);
  });
});

/** Scaled positions against llama.cpp, and caches of 8-bit keys and values against the reference. */
import { describe, expect, test } from 'vitest';
import { withMetadata } from '../../tools/fixtures/gguf-edit.mjs';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture } from '../../tools/testing/fixtures.ts';
import { GREEDY_SAMPLING } from '../../tools/testing/greedy.ts';
import { openTestGpu } from '../../tools/testing/kernels.ts';
import { Engine } from '../index.ts';
import { readConfig } from '../model/config.ts';
import { TensorLoader } from '../model/tensor-loader.ts';
import { allocateTextModel } from '../model/text-model.ts';
import { openWeights } from '../weights/index.ts';
import { loadTokenModel } from './index.ts';
import { StepRunner } from './step-runner.ts';
import type { LoadOptions, TokenModel } from './types.ts';

interface YarnGolden {
  model: string;
  metadata: Record<string, string | number>;
  tokens: number[];
  rows: { position: number; greedy: number; ids: number[]; logits: number[] }[];
}

const yarn = JSON.parse(await (await fixture('yarn.json')).text()) as YarnGolden;
const plainFile = await fixture(`models/${yarn.model}.gguf`);
const scaledFile = new File(
  [withMetadata(new Uint8Array(await plainFile.arrayBuffer()), yarn.metadata)],
  'scaled.gguf',
);

async function load(model: File | Blob, options: Partial<LoadOptions> = {}): Promise<TokenModel> {
  const gpu = await testGpu();
  return (await loadTokenModel({ model, gpu, precision: 'f32', store: 'none', ...options })).model;
}

describe('YaRN', () => {
  const ropeScaling = { type: 'yarn', factor: 4, originalContextLength: 96, attentionFactor: 0.9 } as const;

  test.each([
    { title: 'as the file asks for it', model: scaledFile, options: {} },
    { title: 'as the caller asks for it', model: plainFile, options: { ropeScaling } },
  ])('gives llama.cpp’s logits within and beyond the original context, $title', async ({ model: file, options }) => {
    const model = await load(file, options);
    const vocabulary = model.info.vocabularySize;
    const logits = await model.logits(yarn.tokens, { all: true });
    await model.dispose();
    for (const { position, greedy, ids, logits: expected } of yarn.rows) {
      const row = logits.subarray(position * vocabulary, (position + 1) * vocabulary);
      const worst = Math.max(...ids.map((id, i) => Math.abs(row[id] - expected[i])));
      expect(worst, `position ${position}`).toBeLessThanOrEqual(1e-3);
      expect(row.indexOf(Math.max(...row))).toBe(greedy);
    }
  });

  test('lets the context grow by its factor, and no further', async () => {
    const gpu = await testGpu();
    const native = 262_144;
    const plan = (contextLength: number, options = {}) =>
      Engine.plan(plainFile, { gpu, precision: 'f32', contextLength, ...options });
    await expect(plan(native + 1)).rejects.toMatchObject({ code: 'invalid-request', param: 'contextLength' });
    const scaling = { ropeScaling: { type: 'yarn', factor: 4 } };
    // One head's keys of a million tokens exceed what some devices bind, which they say; the length itself is allowed.
    const allowed = await plan(4 * native, { ...scaling, kvCache: 'q8_0' }).then(
      () => 'planned',
      ({ code }: { code: string }) => code,
    );
    expect(['planned', 'device-limit']).toContain(allowed);
    await expect(plan(4 * native + 1, scaling)).rejects.toMatchObject({ param: 'contextLength' });
  });

  test.each([
    { title: 'another kind', ropeScaling: { type: 'linear', factor: 2 } },
    { title: 'a factor below 1', ropeScaling: { type: 'yarn', factor: 0.5 } },
    { title: 'no factor', ropeScaling: { type: 'yarn' } },
    { title: 'slow above fast', ropeScaling: { type: 'yarn', factor: 2, betaSlow: 40 } },
  ])('is refused with $title', async ({ ropeScaling: wrong }) => {
    const options = { ropeScaling: wrong as LoadOptions['ropeScaling'] };
    await expect(load(plainFile, options)).rejects.toMatchObject({ code: 'invalid-request', param: 'ropeScaling' });
  });
});

test('a pass takes no more memory after a long prompt than after a short one, beside the cache', async () => {
  const gpu = (await openTestGpu()).rehearsal();
  const weights = await openWeights(plainFile, { store: 'none' });
  const loader = new TensorLoader(gpu, weights);
  const runner = new StepRunner(gpu, allocateTextModel(loader, readConfig(weights)), {
    contextLength: 65_536,
    f16: false,
    snapshotBytes: 0,
  });
  // Records a decode step and a full pass for the capacity there is, then grows to the next.
  const work = (contextLength: number) => {
    runner.rehearse(contextLength);
    return gpu.bytes - runner.state.bytes;
  };
  const short = work(1024);
  work(8192);
  expect(runner.state.capacity).toBe(8192);
  expect(work(8192)).toBe(short);
  work(65_536);
  expect(work(65_536)).toBe(short);
  // Reading goes pass by pass: growing holds one layer's old cache beside the new one, and nothing else is ever doubled.
  expect(gpu.peakBytes - gpu.bytes).toBeLessThanOrEqual(runner.state.bytes);
});

describe('a cache of 8-bit keys and values', () => {
  /** Greedy tokens, in one conversation: a prompt, then one that goes on from it, and one that leaves it halfway. */
  async function converse(model: TokenModel, prompts: readonly (readonly number[])[]): Promise<number[][]> {
    const answers: number[][] = [];
    for (const prompt of prompts) {
      const answer: number[] = [];
      const options = { maxTokens: 6, sampling: GREEDY_SAMPLING, stopIds: new Set<number>(), checkpoints: [20] };
      for await (const { id } of model.generate(prompt, options)) answer.push(id);
      answers.push(answer);
    }
    return answers;
  }
  const tokens = (count: number, seed = 13) => Array.from({ length: count }, (_, i) => (i * 7919 + seed) % 700);

  test('is wanted by name, takes half of what halves take, and is told', async () => {
    const gpu = await testGpu();
    await expect(load(plainFile, { kvCache: 'q4_0' as never })).rejects.toMatchObject({ param: 'kvCache' });
    const contextBytes = async (kvCache: LoadOptions['kvCache']) =>
      (await Engine.plan(plainFile, { gpu, contextLength: 4096, kvCache })).contextBytes;
    const [f32, f16, q8] = [await contextBytes('f32'), await contextBytes('f16'), await contextBytes('q8_0')];
    // All have the same recurrent state beside the cache: 34 bytes for 32 elements instead of 64 and 128.
    expect((f16 - q8) / (f32 - q8)).toBeCloseTo((64 - 34) / (128 - 34), 6);
  });

  test('goes on from an earlier prompt as if all were read afresh', async () => {
    const model = await load(plainFile, { kvCache: 'q8_0', contextLength: 200 });
    expect(model.info.kvCache).toBe('q8_0');
    const first = tokens(70);
    const [answer] = await converse(model, [first]);
    const second = [...first, ...answer, ...tokens(9, 5)];
    const leaving = [...first.slice(0, 30), 9, 8, 7];
    const later = await converse(model, [second, leaving]);
    expect(model.stats().reusedTokens).toBeGreaterThanOrEqual(first.length + 20);
    for (const [i, prompt] of [second, leaving].entries()) {
      await model.logits([1]); // forgets the sequence
      expect(await converse(model, [prompt])).toEqual([later[i]]);
    }
    await model.dispose();
  });
});

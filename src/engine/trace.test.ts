import { expect, test } from 'vitest';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture, golden } from '../../tools/testing/fixtures.ts';
import { testCapabilities } from '../../tools/testing/kernels.ts';
import { loadTokenModel } from './index.ts';
import type { TracedDispatch } from './types.ts';

const capabilities = await testCapabilities();

/** Of dense-f32. */
const HIDDEN = 128;

test.each([
  { title: 'by dispatch, where there are timestamp queries', without: [], resolution: 'dispatch' },
  { title: 'by pass, where there are none', without: ['timestamps'], resolution: 'pass' },
] as const)('an answer is traced $title', async ({ without, resolution }) => {
  const options = { gpu: await testGpu(), precision: 'f32', contextLength: 512, store: 'none' } as const;
  const file = await fixture('models/dense-f32.gguf');
  const { model } = await loadTokenModel({ ...options, model: file }, { without });
  const { ids } = (await golden('dense-f32')).prompts[2];
  await model.trace(ids, 1); // makes the programs and their memory
  const before = model.stats().gpuBytes;
  const trace = await model.trace(ids, 3);
  expect(trace).toMatchObject({
    resolution: capabilities.timestamps ? resolution : 'pass',
    promptTokens: ids.length - 1,
    tokens: 2,
  });
  expect(trace.token.every(({ ms }) => Number.isFinite(ms) && ms >= 0)).toBe(true);
  if (trace.resolution === 'dispatch') {
    expect(trace.token).toHaveLength(model.stats().dispatchesPerToken);
    const sum = (kernel: RegExp, count: (dispatch: TracedDispatch) => number) =>
      trace.token.filter((d) => kernel.test(d.kernel)).reduce((total, d) => total + count(d), 0);
    const { weightBytesPerToken } = model.stats();
    // A multiplication and an addition for each f32 weight, but those of the one row that is the token's embedding.
    expect(sum(/^mat/, ({ flops }) => flops)).toBe(2 * (weightBytesPerToken / 4 - HIDDEN));
    const productBytes = sum(/^(mat|embed)/, ({ bytes }) => bytes);
    expect(productBytes).toBeGreaterThan(weightBytesPerToken);
    expect(productBytes).toBeLessThan(1.1 * weightBytesPerToken);
    // Keys and values of all tokens so far, of two layers at least, once each.
    expect(sum(/^attention$/, ({ bytes }) => bytes)).toBeGreaterThan(2 * ids.length * 256 * 4);
    // Penalties are as many as the answer has: their launcher cannot tell.
    expect(trace.token.filter(({ bytes }) => !(bytes > 0)).map(({ kernel }) => kernel)).toEqual(['penalties']);
  } else {
    expect(trace.token).toHaveLength(1);
    expect(trace.token[0].bytes).toBe(model.stats().weightBytesPerToken);
  }
  // Nothing is left behind, and nothing is timed any more.
  expect(model.stats().gpuBytes).toBe(before);
  await expect(model.trace(ids, 500)).rejects.toMatchObject({ code: 'context-overflow' });
  await expect(model.trace(ids, 3, AbortSignal.abort())).rejects.toThrow();
  expect((await model.logits(ids)).length).toBe(model.info.vocabularySize);
  await model.dispose();
});

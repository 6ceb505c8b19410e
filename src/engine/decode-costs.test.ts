/** What a decode step costs besides its dispatches, counted: nothing is made for it, and little comes back. */
import { expect, test } from 'vitest';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture } from '../../tools/testing/fixtures.ts';
import { watchGpu } from '../../tools/testing/watched-gpu.ts';
import { Gpu } from '../gpu/index.ts';
import { loadTextModel } from '../model/text-model.ts';
import { openWeights } from '../weights/index.ts';
import { StepRunner } from './step-runner.ts';

const NO_PENALTIES = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };

test('a decode step is one submit, makes no buffer, bind group or pipeline, and reads a kilobyte back', async () => {
  const watched = watchGpu(await testGpu());
  const gpu = await Gpu.open(watched.gpu);
  const weights = await openWeights(await fixture('models/dense-f32.gguf'), { store: 'none' });
  const model = await loadTextModel(gpu, weights);
  const runner = new StepRunner(gpu, model, { contextLength: 64, f16: false, ahead: true });
  await runner.step([1, 2, 3], NO_PENALTIES);
  await runner.step([4], NO_PENALTIES);
  await runner.stepAhead(5, NO_PENALTIES, { more: false });
  const made = () => ({ buffers: watched.madeBuffers, bindings: watched.madeBindings });
  const [before, submits] = [made(), watched.submits];
  expect(before.bindings).toBeGreaterThan(0);
  for (let n = 1; n <= 3; n++) {
    await runner.step([4 + n], NO_PENALTIES);
    expect(watched.submits - submits).toBe(n);
  }
  // Each step after the first is on its way when it is asked for, and submits the next one.
  let next = 8;
  for (let n = 1; n <= 4; n++) {
    const { ids, logits } = await runner.stepAhead(next, NO_PENALTIES, { more: n < 4 });
    next = ids[logits.indexOf(Math.max(...logits))];
    expect(watched.submits - submits).toBe(3 + Math.min(n + 1, 4));
  }
  expect(made()).toEqual(before);
  expect(runner.stepCost.readbackBytes).toBeLessThanOrEqual(1040 + 16);
  runner.dispose();
  model.dispose();
  weights.close();
  gpu.dispose();
});

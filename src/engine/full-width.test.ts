/** Layers of 397B-A17B and 35B-A3B at their full width, of whose experts a few have slots; weights computed as they are read. */
import { expect, test } from 'vitest';
import { openTestGpu } from '../../tools/testing/kernels.ts';
import { syntheticBlobs } from '../../tools/testing/synthetic-blobs.ts';
import { createPolicy } from '../experts/index.ts';
import { readConfig } from '../model/config.ts';
import { loadTextModel } from '../model/text-model.ts';
import { openWeights } from '../weights/index.ts';
import { StepRunner } from './step-runner.ts';

const NO_PENALTIES = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };
/** Three DeltaNet layers and one of attention. */
const LAYERS = 4;
/** The true one weighs gigabytes and is a matrix like any other. */
const VOCABULARY = 2048;

async function run(name: '397b-a17b' | '35b-a3b', slots: number) {
  const gpu = await openTestGpu();
  const weights = await openWeights(syntheticBlobs(name, { layers: LAYERS, vocabulary: VOCABULARY }), {
    store: 'none',
  });
  const { layers, ffn } = readConfig(weights);
  if (ffn.kind !== 'moe') throw new Error('no experts');
  const policy = createPolicy('forecast', { layers: layers.length, experts: ffn.experts });
  const model = await loadTextModel(gpu, weights, { room: { slots: layers.map(() => slots), policy } });
  const runner = new StepRunner(gpu, model, { contextLength: 64, f16: false });
  const logits: Uint32Array[] = [];
  // A prompt whose tokens want more experts than there are slots, then tokens one by one.
  await runner.read([3, 1700, 40, 999, 8, 512]);
  for (const id of [5, 77, 77]) {
    await runner.step([id], NO_PENALTIES);
    const floats = await runner.lastLogits();
    expect(floats.every(Number.isFinite)).toBe(true);
    logits.push(new Uint32Array(floats.buffer, 0, floats.length));
  }
  const { counts, shelves } = model.experts!;
  for (const { table } of shelves) {
    expect(table.resident).toBe(slots);
    const used = Array.from({ length: table.experts }, (_, expert) => table.slotOf(expert)).filter(
      (s) => s !== undefined,
    );
    expect(new Set(used).size).toBe(slots);
  }
  runner.dispose();
  model.dispose();
  weights.close();
  gpu.dispose();
  return { logits, counts, topK: ffn.topK };
}

test.each([
  { name: '397b-a17b', few: 10, more: 24 },
  { name: '35b-a3b', few: 8, more: 40 },
] as const)(
  '$name gives the same bits with $few and with $more slots a layer',
  async ({ name, few, more }) => {
    const least = await run(name, few);
    const roomy = await run(name, more);
    for (const [i, row] of least.logits.entries()) {
      expect(row.findIndex((word, at) => word !== roomy.logits[i][at])).toBe(-1);
    }
    expect(least.counts.misses).toBeGreaterThan(roomy.counts.misses);
    // Three tokens and a prompt, four layers: each wants at least as many as a token chooses.
    expect(least.counts.hits + least.counts.misses).toBeGreaterThanOrEqual(4 * LAYERS * least.topK);
  },
  400_000,
);

/**
 * Greedy decoding with the next step submitted before the last token is read, and without, in turn on one device.
 * MODEL=a model of bench/models.mjs or a file, TOKENS=24, ROUNDS=5.
 */
import { openAsBlob } from 'node:fs';
import { loadavg } from 'node:os';
import { expect, test } from 'vitest';
import { StepRunner } from '../src/engine/step-runner.ts';
import { Gpu } from '../src/gpu/index.ts';
import { loadTextModel } from '../src/model/text-model.ts';
import { openWeights } from '../src/weights/index.ts';
import { openDawn } from './dawn.mjs';
import { ensureModel } from './models.mjs';

const env = process.env;
const MODEL = env.MODEL ?? '0.8b-8-layers-q4_k';
const TOKENS = Number(env.TOKENS ?? 24);
const ROUNDS = Number(env.ROUNDS ?? 5);
const NO_PENALTIES = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };
const prompt = Array.from({ length: 16 }, (_, i) => 30 + ((i * 7919) % 600));

test('decoding a step ahead', async () => {
  const gpu = await Gpu.open(await openDawn());
  const path = MODEL.endsWith('.gguf') ? MODEL : await ensureModel(MODEL);
  const weights = await openWeights(await openAsBlob(path), { store: 'none' });
  const model = await loadTextModel(gpu, weights);
  const ways = [false, true].map((ahead) => {
    const runner = new StepRunner(gpu, model, { contextLength: 512, f16: false, ahead, snapshotBytes: 0 });
    return { title: ahead ? 'ahead' : 'one by one', runner, times: [] as number[] };
  });
  for (let round = 0; round <= ROUNDS; round++) {
    // Who goes first has the quieter machine, or not.
    const answers: number[][] = [];
    for (const { runner, times } of round % 2 === 0 ? ways : ways.toReversed()) {
      const { ms, answer } = await decode(runner);
      if (round > 0) times.push(ms); // the first compiles
      answers.push(answer);
    }
    expect(answers[0]).toEqual(answers[1]);
  }
  const [apart, ahead] = ways.map(({ times }) => median(times));
  const ratios = ways[0].times.map((ms, round) => ms / ways[1].times[round]);
  console.log(
    [
      `${gpu.adapterName}, ${MODEL}, ${TOKENS} tokens, medians of ${ROUNDS} rounds in turn, load ${loadavg()[0].toFixed(1)}`,
      '| one by one, ms a token | ahead, ms a token | speed-up, median of the rounds (range) |',
      '|---|---|---|',
      `| ${apart.toFixed(2)} | ${ahead.toFixed(2)} | ${median(ratios).toFixed(3)} (${Math.min(...ratios).toFixed(3)}–${Math.max(...ratios).toFixed(3)}) |`,
    ].join('\n'),
  );
  for (const { runner } of ways) runner.dispose();
  model.dispose();
  weights.close();
  gpu.dispose();
});

async function decode(runner: StepRunner): Promise<{ ms: number; answer: number[] }> {
  runner.reset();
  await runner.read(prompt.slice(0, -1));
  let next = prompt.at(-1)!;
  const answer: number[] = [];
  let start = 0;
  for (let n = 0; n <= TOKENS; n++) {
    const { ids, logits } = await runner.stepAhead(next, NO_PENALTIES, { more: n < TOKENS });
    const best = Array.from(ids.keys()).reduce((best, i) =>
      logits[i] > logits[best] || (logits[i] === logits[best] && ids[i] < ids[best]) ? i : best,
    );
    next = ids[best];
    answer.push(next);
    if (n === 0) start = performance.now(); // from the first token on, as the engine counts
  }
  return { ms: (performance.now() - start) / TOKENS, answer };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

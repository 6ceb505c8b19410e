/**
 * Decoding with a part of the experts in slots: how many are found there, how often a step waits, how well the next layers'
 * choices are foretold, and what reading ahead saves. MODEL=a .gguf, SHARES=0.25,0.5, TOKENS=48, DELAY=5 (milliseconds that
 * every read takes, as a store's would).
 */
import { openAsBlob } from 'node:fs';
import { loadavg } from 'node:os';
import { test } from 'vitest';
import { StepRunner } from '../src/engine/step-runner.ts';
import { createPolicy } from '../src/experts/index.ts';
import { Gpu } from '../src/gpu/index.ts';
import { readConfig } from '../src/model/config.ts';
import { loadTextModel } from '../src/model/text-model.ts';
import { openWeights } from '../src/weights/index.ts';
import { openDawn } from './dawn.mjs';

const env = process.env;
const model = env.MODEL ?? 'fixtures/models/moe-dynamic.gguf';
const shares = (env.SHARES ?? '0.34,0.5,0.75').split(',').map(Number);
const tokens = Number(env.TOKENS ?? 48);
const delayMs = Number(env.DELAY ?? 5);
const NO_PENALTIES = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };

test('decoding with some experts in slots', async () => {
  const lines = [
    '| slots a layer | reads ahead | hits | waits a token | foretold right | ms of waiting a token | ms a token |',
    '|---|---|---|---|---|---|---|',
  ];
  const gpu = await Gpu.open(await openDawn());
  for (const share of shares) {
    for (const foresees of [false, true]) lines.push(await measure(gpu, share, foresees));
  }
  console.log(
    `${gpu.adapterName}, ${model}, ${tokens} tokens, reads of ${delayMs} ms, load ${loadavg()[0].toFixed(1)}`,
  );
  console.log(lines.join('\n'));
  gpu.dispose();
});

async function measure(gpu: Gpu, share: number, foresees: boolean): Promise<string> {
  const weights = await openWeights(await openAsBlob(model), { store: 'none' });
  const { layers, ffn, vocabulary } = readConfig(weights);
  if (ffn.kind !== 'moe') throw new Error(`${model} has no experts`);
  const each = Math.max(ffn.topK, Math.round(share * ffn.experts));
  const policy = createPolicy('forecast', { layers: layers.length, experts: ffn.experts });
  const text = await loadTextModel(gpu, weights, { room: { slots: layers.map(() => each), policy } });
  const residency = text.experts!;
  let waits = 0;
  for (const shelf of residency.shelves) {
    const read = shelf.read.bind(shelf);
    shelf.read = async (...call) => {
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      return read(...call);
    };
  }
  const waves = residency.waves.bind(residency);
  residency.waves = (...call) => {
    waits++;
    return waves(...call);
  };
  const runner = new StepRunner(gpu, text, { contextLength: 1024, f16: false, foresees });
  const step = async (i: number) => runner.step([(i * 7919) % vocabulary], NO_PENALTIES);
  for (let i = 0; i < 8; i++) await step(i);
  const before = { ...residency.counts };
  waits = 0;
  const start = performance.now();
  for (let i = 8; i < 8 + tokens; i++) await step(i);
  const ms = (performance.now() - start) / tokens;
  const of = (key: keyof typeof before) => residency.counts[key] - before[key];
  const percent = (part: number, all: number) => (all > 0 ? `${((100 * part) / all).toFixed(0)} %` : '');
  const row = [
    `${each} of ${ffn.experts}`,
    foresees ? 'yes' : 'no',
    percent(of('hits'), of('hits') + of('misses')),
    (waits / tokens).toFixed(2),
    percent(of('predictedRight'), of('predicted')),
    (of('stallMs') / tokens).toFixed(1),
    ms.toFixed(1),
  ];
  runner.dispose();
  text.dispose();
  weights.close();
  return `| ${row.join(' | ')} |`;
}

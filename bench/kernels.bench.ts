/**
 * Where the time of decoding and of reading a prompt goes: GPU time by kernel and matrix, from timestamps around every dispatch.
 * MODELS=NAME,… (bench/models.mjs), PROMPT=128 tokens, PRECISION=f32,f16, RUNS=7.
 */
import { openAsBlob } from 'node:fs';
import { loadavg } from 'node:os';
import { test } from 'vitest';
import { StepRunner } from '../src/engine/step-runner.ts';
import { Gpu, Profiler, type TimedDispatch } from '../src/gpu/index.ts';
import { loadTextModel } from '../src/model/text-model.ts';
import { openWeights } from '../src/weights/index.ts';
import { quantTypes } from '../src/weights/quant-types.ts';
import type { TensorType } from '../src/weights/types.ts';
import { openDawn } from './dawn.mjs';
import { ensureModel } from './models.mjs';

const env = process.env;
const models = (env.MODELS ?? '0.8b-8-layers-q4_k').split(',');
const precisions = (env.PRECISION ?? 'f32,f16').split(',');
const promptTokens = Number(env.PROMPT ?? 128);
const RUNS = Number(env.RUNS ?? 7);
const NO_PENALTIES = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };

const cases = models.flatMap((model) => precisions.map((precision) => ({ model, precision })));

test.each(cases)('$model $precision', async ({ model, precision }) => {
  // Exact timestamps: Dawn would round them to 0.1 ms.
  const gpu = await Gpu.open(await openDawn(['disable-dawn-features=timestamp_quantization']));
  const weights = await openWeights(await openAsBlob(await ensureModel(model)), { store: 'none' });
  const text = await loadTextModel(gpu, weights);
  const profiler = new Profiler(gpu);
  const runner = new StepRunner(gpu, text, { contextLength: 4096, f16: precision === 'f16', profiler });
  const prompt = Array.from({ length: promptTokens }, (_, i) => 300 + ((i * 7919) % 20000));

  const prefill: TimedDispatch[][] = [];
  const decode: TimedDispatch[][] = [];
  for (let run = 0; run <= RUNS; run++) {
    runner.reset();
    await runner.read(prompt);
    const read = await profiler.take();
    await runner.step([prompt[0]], NO_PENALTIES);
    const step = await profiler.take();
    if (run === 0) continue; // compiles
    prefill.push(read);
    decode.push(step);
  }
  const load = loadavg()[0].toFixed(1);
  const title = `${gpu.adapterName}, ${model}, ${precision}, median of ${RUNS} runs, load ${load}`;
  console.log(`### Decode, one token after ${promptTokens}: ${title}\n\n${table(decode, 1)}`);
  console.log(`### Prompt of ${promptTokens} tokens: ${title}\n\n${table(prefill, promptTokens)}`);

  runner.dispose();
  profiler.dispose();
  text.dispose();
  weights.close();
  gpu.dispose();
});

interface Row {
  dispatches: number;
  ms: number;
  weightBytes: number;
  /** Multiplications with weights, and additions. */
  flops: number;
}

const NOTHING: Row = { dispatches: 0, ms: 0, weightBytes: 0, flops: 0 };

/** Each dispatch's median over the runs, summed by what it is, the longest first. */
function table(runs: readonly (readonly TimedDispatch[])[], tokens: number): string {
  const rows = new Map<string, Row>();
  const total: Row = { ...NOTHING };
  runs[0].forEach((dispatch, i) => {
    const key = describe(dispatch);
    const row = rows.get(key) ?? { ...NOTHING };
    rows.set(key, row);
    const ms = median(runs.map((run) => run[i].ns)) / 1e6;
    for (const sum of [row, total]) {
      sum.dispatches++;
      sum.ms += ms;
      sum.weightBytes += dispatch.weightBytes;
      sum.flops += productFlops(dispatch, tokens);
    }
  });
  const line = (name: string, { dispatches, ms, weightBytes, flops }: Row) => {
    const megabytes = weightBytes ? (weightBytes / 1e6).toFixed(1) : '';
    const rate = weightBytes ? (weightBytes / ms / 1e6).toFixed(2) : '';
    const gflops = flops ? (flops / ms / 1e6).toFixed(2) : '';
    const share = ((100 * ms) / total.ms).toFixed(1);
    return `| ${[name, dispatches, ms.toFixed(2), share, megabytes, rate, gflops].join(' | ')} |`;
  };
  return [
    '| kernel | dispatches | ms | % | MB of weights | GB/s | GFLOP/s |',
    '|---|---|---|---|---|---|---|',
    ...[...rows].sort(([, a], [, b]) => b.ms - a.ms).map(([name, row]) => line(name, row)),
    line('all', total),
  ].join('\n');
}

/** Of a product with a matrix; 0 where experts are grouped, since how many tokens meet each is not known here. */
function productFlops({ kernel, variant, weightBytes }: TimedDispatch, tokens: number): number {
  const [type, ...conditions] = variant.split(' ');
  if (!/^mat/.test(kernel) || (conditions.includes('experts') && tokens > 1)) return 0;
  const { blockBytes, blockWeights } = quantTypes[type.toUpperCase() as TensorType];
  return 2 * tokens * (weightBytes / blockBytes) * blockWeights;
}

/** `matvec q4_k ffn_up`: the layers of one kind together. */
function describe({ kernel, variant, weights }: TimedDispatch): string {
  const type = variant.split(' ')[0];
  const matrix = weights?.replace(/^blk\.\d+\./, '').replace(/\.weight$/, '');
  return [kernel, matrix && `${type} ${matrix}`].filter(Boolean).join(' ');
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

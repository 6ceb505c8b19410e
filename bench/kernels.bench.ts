/**
 * Where the time of decoding and of reading a prompt goes: GPU time by kernel and matrix, from timestamps around every dispatch,
 * beside the bytes and operations that launchers count, and how near that is to what the adapter can do.
 * MODELS=NAME,… (bench/models.mjs), PROMPT=128 tokens, PRECISION=f32,f16 (or int8), RUNS=7.
 */
import { openAsBlob } from 'node:fs';
import { loadavg } from 'node:os';
import { test } from 'vitest';
import { StepRunner } from '../src/engine/step-runner.ts';
import { Gpu, Profiler, type TimedDispatch } from '../src/gpu/index.ts';
import { loadTextModel } from '../src/model/text-model.ts';
import { openWeights } from '../src/weights/index.ts';
import { type Ceilings, measureAdapter } from './adapter.mjs';
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
  const dawn = await openDawn(['disable-dawn-features=timestamp_quantization']);
  const ceilings = await measureAdapter(dawn);
  const gpu = await Gpu.open(dawn);
  const weights = await openWeights(await openAsBlob(await ensureModel(model)), { store: 'none' });
  const text = await loadTextModel(gpu, weights);
  const profiler = new Profiler(gpu);
  const arithmetic = { f16: precision === 'f16', int8: precision === 'int8' };
  const runner = new StepRunner(gpu, text, { contextLength: 4096, ...arithmetic, profiler });
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
  const most = describeCeilings(ceilings);
  console.log(`### Decode, one token after ${promptTokens}: ${title}\n\n${most}\n\n${table(decode, ceilings)}`);
  console.log(`### Prompt of ${promptTokens} tokens: ${title}\n\n${most}\n\n${table(prefill, ceilings)}`);

  runner.dispose();
  profiler.dispose();
  text.dispose();
  weights.close();
  gpu.dispose();
});

interface Row {
  dispatches: number;
  ms: number;
  /** Of weights, as in the file. */
  weightBytes: number;
  /** All, weights among them. */
  bytes: number;
  flops: number;
}

const NOTHING: Row = { dispatches: 0, ms: 0, weightBytes: 0, bytes: 0, flops: 0 };

const bandwidth = ({ readGBs, copyGBs, matvecGBs }: Ceilings) => Math.max(readGBs, copyGBs, matvecGBs);

function describeCeilings(ceilings: Ceilings): string {
  return `Ceilings: ${bandwidth(ceilings).toFixed(1)} GB/s, ${ceilings.f32GFlops.toFixed(1)} f32 GFLOP/s.`;
}

/** Each dispatch's median over the runs, summed by what it is, the longest first. */
function table(runs: readonly (readonly TimedDispatch[])[], ceilings: Ceilings): string {
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
      sum.bytes += dispatch.weightBytes + dispatch.bytes + dispatch.keyBytes * (promptTokens + 1);
      sum.flops += dispatch.flops + dispatch.keyFlops * (promptTokens + 1);
    }
  });
  const line = (name: string, { dispatches, ms, weightBytes, bytes, flops }: Row) => {
    const megabytes = weightBytes ? (weightBytes / 1e6).toFixed(1) : '';
    const gigabytesPerSecond = bytes / ms / 1e6;
    const gigaflops = flops / ms / 1e6;
    // The roofline: whichever of the two it is nearer to bounds it.
    const reached = Math.max(gigabytesPerSecond / bandwidth(ceilings), gigaflops / ceilings.f32GFlops);
    const share = ((100 * ms) / total.ms).toFixed(1);
    const rates = [gigabytesPerSecond.toFixed(2), gigaflops.toFixed(2), `${(100 * reached).toFixed(0)} %`];
    return `| ${[name, dispatches, ms.toFixed(2), share, megabytes, ...rates].join(' | ')} |`;
  };
  return [
    '| kernel | dispatches | ms | % | MB of weights | GB/s | GFLOP/s | of the ceiling |',
    '|---|---|---|---|---|---|---|---|',
    ...[...rows].sort(([, a], [, b]) => b.ms - a.ms).map(([name, row]) => line(name, row)),
    line('all', total),
  ].join('\n');
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

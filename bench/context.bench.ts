/**
 * What a decoded token costs after a short and after a long context, whose cache is filled directly.
 * MODEL=NAME (bench/models.mjs) or a file, SHORT=1024, LONG=32768 tokens, KV=f16,q8_0, RUNS=5. PROMPT=8192 also reads a prompt of so many
 * tokens with MODEL, and tells the memory it took.
 */
import { openAsBlob } from 'node:fs';
import { loadavg } from 'node:os';
import { test } from 'vitest';
import { StepRunner } from '../src/engine/step-runner.ts';
import { Gpu, Profiler, type TimedDispatch } from '../src/gpu/index.ts';
import { type KvType, kvRowBytes } from '../src/kernels/attention.ts';
import { loadTextModel, type TextModel } from '../src/model/text-model.ts';
import { openWeights } from '../src/weights/index.ts';
import { randomNormal, toHalf } from '../tools/testing/random.ts';
import { openDawn } from './dawn.mjs';
import { ensureModel } from './models.mjs';

const env = process.env;
const lengths = [Number(env.SHORT ?? 1024), Number(env.LONG ?? 32_768)];
const kvTypes = (env.KV ?? 'f16,q8_0').split(',') as KvType[];
const RUNS = Number(env.RUNS ?? 5);
const MODEL = env.MODEL ?? '0.8b-8-layers-q4_k';
const NO_PENALTIES = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };

const gpu = await Gpu.open(await openDawn(['disable-dawn-features=timestamp_quantization']));

/** MODEL is a name, or the path of a file. */
const modelPath = async () => (MODEL.endsWith('.gguf') ? MODEL : await ensureModel(MODEL));

/** Rows of plausible keys or values. */
function randomRows(type: KvType, headDim: number, rows: number): Uint8Array<ArrayBuffer> {
  const elements = randomNormal(1, rows * headDim);
  if (type === 'f32') return new Uint8Array(elements.buffer);
  if (type === 'f16') return new Uint8Array(Uint16Array.from(elements, toHalf).buffer);
  const bytes = new Uint8Array(rows * kvRowBytes({ headDim }, type));
  const view = new DataView(bytes.buffer);
  for (let row = 0; row < rows; row++) {
    const at = row * kvRowBytes({ headDim }, type);
    for (let i = 0; i < headDim; i++)
      view.setInt8(at + i, Math.max(-127, Math.min(127, 40 * elements[row * headDim + i])));
    for (let i = 0; i < headDim / 32; i++) view.setUint16(at + headDim + 2 * i, toHalf(1 / 40), true);
  }
  return bytes;
}

class Contender {
  readonly runner: StepRunner;
  readonly profiler = new Profiler(gpu);
  readonly dispatches: TimedDispatch[][] = [];
  readonly walls: number[] = [];
  /** Processor time of a step, over all cores: what a software adapter on a busy machine is to be judged by. */
  readonly cpu: number[] = [];

  constructor(
    readonly model: TextModel,
    readonly tokens: number,
    readonly kv: KvType,
  ) {
    const { profiler } = this;
    this.runner = new StepRunner(gpu, model, { contextLength: tokens + 1, f16: gpu.capabilities.f16, kv, profiler });
    this.runner.state.reserve(tokens + 1);
    const { headDim } = model.config.attention;
    const rows = randomRows(kv, headDim, 512);
    for (const layer of this.runner.state.layers) {
      if (layer.kind !== 'attention') continue;
      for (const buffer of [layer.k, layer.v]) {
        for (let at = 0; at < buffer.size; at += rows.length) {
          gpu.write(buffer, at, rows.subarray(0, Math.min(rows.length, buffer.size - at)));
        }
      }
    }
  }

  async step(): Promise<void> {
    this.runner.state.position = this.tokens;
    const start = performance.now();
    const before = process.cpuUsage();
    await this.runner.step([17], NO_PENALTIES);
    const { user, system } = process.cpuUsage(before);
    this.walls.push(performance.now() - start);
    this.cpu.push((user + system) / 1000);
    this.dispatches.push(await this.profiler.take());
  }

  /** Medians of each dispatch over the runs, without the first. */
  times(): { all: number; attention: number; weightBytes: number; cacheBytes: number; stateBytes: number } {
    const runs = this.dispatches.slice(1);
    const sums = { all: 0, attention: 0, weightBytes: 0, cacheBytes: 0 };
    for (const [i, dispatch] of runs[0].entries()) {
      const ms = median(runs.map((run) => run[i].ns)) / 1e6;
      sums.all += ms;
      if (/^attention(_combine)?$/.test(dispatch.kernel)) sums.attention += ms;
      sums.weightBytes += dispatch.weightBytes;
      sums.cacheBytes += dispatch.keyBytes * (this.tokens + 1);
    }
    return { ...sums, stateBytes: 2 * this.runner.state.recurrentBytes };
  }

  dispose(): void {
    this.runner.dispose();
    this.profiler.dispose();
  }
}

test.each(kvTypes)('decoding with a cache of %s', async (kv) => {
  const weights = await openWeights(await openAsBlob(await modelPath()), { store: 'none' });
  const model = await loadTextModel(gpu, weights);
  const contenders = lengths.map((tokens) => new Contender(model, tokens, kv));
  for (let run = 0; run <= RUNS; run++) for (const contender of contenders) await contender.step();
  const lines = contenders.map(({ tokens, times }, i) => {
    const t = times.call(contenders[i]);
    const bytes = t.weightBytes + t.cacheBytes + t.stateBytes;
    return { tokens, ...t, bytes, wall: median(contenders[i].walls.slice(1)), cpu: median(contenders[i].cpu.slice(1)) };
  });
  const [short, long] = lines;
  const ratio = (key: keyof typeof short) => (long[key] / short[key]).toFixed(2);
  const perByte = (key: 'all' | 'cpu') => (long[key] / long.bytes / (short[key] / short.bytes)).toFixed(2);
  const mb = (bytes: number) => (bytes / 1e6).toFixed(1);
  console.log(
    [
      `${gpu.adapterName}, ${MODEL}, cache of ${kv}, medians of ${RUNS}, load ${loadavg()[0].toFixed(1)}`,
      '| context | ms a token | wall ms | processor ms | attention, ms | MB: weights + cache + state | ms a 100 MB | processor ms a 100 MB |',
      '|---|---|---|---|---|---|---|---|',
      ...lines.map(
        (l) =>
          `| ${l.tokens} | ${l.all.toFixed(1)} | ${l.wall.toFixed(1)} | ${l.cpu.toFixed(1)} | ${l.attention.toFixed(2)} | ${mb(l.weightBytes)} + ${mb(l.cacheBytes)} + ${mb(l.stateBytes)} = ${mb(l.bytes)} | ${((1e8 * l.all) / l.bytes).toFixed(1)} | ${((1e8 * l.cpu) / l.bytes).toFixed(1)} |`,
      ),
      `| ratio | ${ratio('all')} | ${ratio('wall')} | ${ratio('cpu')} | ${ratio('attention')} | ${ratio('bytes')} | ${perByte('all')} | **${perByte('cpu')}** |`,
    ].join('\n'),
  );
  for (const contender of contenders) contender.dispose();
  model.dispose();
  weights.close();
});

test.runIf(env.PROMPT)('a long prompt', async () => {
  const tokens = Number(env.PROMPT);
  const weights = await openWeights(await openAsBlob(await modelPath()), { store: 'none' });
  const model = await loadTextModel(gpu, weights);
  const before = gpu.bytes;
  const runner = new StepRunner(gpu, model, { contextLength: tokens + 1, f16: gpu.capabilities.f16 });
  const start = performance.now();
  await runner.read(Array.from({ length: tokens }, (_, i) => (300 + i * 7919) % model.config.vocabulary));
  await runner.step([17], NO_PENALTIES);
  const seconds = (performance.now() - start) / 1000;
  const { bytes } = runner.state;
  console.log(
    `${gpu.adapterName}, ${MODEL}: a prompt of ${tokens} tokens took ${seconds.toFixed(1)} s (${(tokens / seconds).toFixed(1)} tok/s, load ${loadavg()[0].toFixed(1)}); ${(bytes / 2 ** 20).toFixed(1)} MiB of states and cache, ${((gpu.peakBytes - before - bytes) / 2 ** 20).toFixed(1)} MiB beside them at most`,
  );
  runner.dispose();
  model.dispose();
  weights.close();
});

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

/**
 * What a picture costs: time from pixels to embeddings, GPU memory while it is read, and which share of the adapter's arithmetic
 * the tower reaches. SIZES=256,512,1024 pixels a side, TOWER=fixture,wide, PRECISION=f32,f16, RUNS=5 (0: the first, which
 * compiles). On a software adapter of a busy machine, CLOCK=cpu shares processor time out over its cores, and CEILING=27.4 is
 * the adapter's GFLOP/s from a quieter hour.
 *
 *     npx vitest run --config bench/vitest.config.ts bench/vision.bench.ts
 */
import { openAsBlob } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { test } from 'vitest';
import { Gpu } from '../src/gpu/index.ts';
import { readVisionConfig, type VisionConfig, VisionTower } from '../src/model/vision.ts';
import { openWeights } from '../src/weights/index.ts';
import { writeGguf } from '../tools/gguf-writer.ts';
import { randomSource } from '../tools/testing/random.ts';
import { measureAdapter } from './adapter.mjs';
import { openDawn } from './dawn.mjs';

const { env } = process;
const sizes = (env.SIZES ?? '256,512,1024').split(',').map(Number);
const towers = (env.TOWER ?? 'fixture,wide').split(',');
const precisions = (env.PRECISION ?? 'f32,f16').split(',');
const RUNS = Number(env.RUNS ?? 5);

/** Milliseconds. */
function clock(): number {
  if (env.CLOCK !== 'cpu') return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000 / availableParallelism();
}

/** Shapes of a published tower for small models, two of its blocks: a picture's time is made of such blocks. */
const WIDE = { width: 768, heads: 12, ffn: 3072, blocks: 2, projection: 1024 };
const F16 = 1;
const F32 = 0;

test.each(towers)('%s', async (name) => {
  const dawn = await openDawn();
  const ceilings = await measureAdapter(dawn);
  const gpu = await Gpu.open(dawn);
  const file = name === 'wide' ? new Blob([wideTower()]) : await openAsBlob('fixtures/models/mmproj-f16.gguf');
  const weights = await openWeights(file, { store: 'none' });
  const config = readVisionConfig(weights);
  const tower = await VisionTower.load(gpu, weights);
  const loaded = gpu.bytes;
  const rows: string[] = [];
  for (const precision of precisions) {
    for (const size of sizes) {
      const random = randomSource(size);
      const rgba = Uint8Array.from({ length: size * size * 4 }, () => random() * 256);
      const times: number[] = [];
      let peak = 0;
      for (let run = 0; run <= RUNS; run++) {
        const start = clock();
        const embeddings = await tower.embed({ width: size, height: size, rgba }, { f16: precision === 'f16' });
        if (run > 0 || RUNS === 0) times.push(clock() - start); // the first compiles
        peak = Math.max(peak, gpu.peakBytes - loaded);
        embeddings.dispose();
      }
      times.sort((a, b) => a - b);
      const ms = times[times.length >> 1];
      const gflops = operations(config, size) / ms / 1e6;
      // With f16, too, sums and products are f32.
      const ceiling = Number(env.CEILING ?? ceilings.f32GFlops);
      const tokens = (size / config.patchSize / config.merge) ** 2;
      const cells = [
        precision,
        `${size} × ${size}`,
        tokens,
        `${ms.toFixed(0)} (${times[0].toFixed(0)}–${times.at(-1)!.toFixed(0)})`,
        gflops.toFixed(1),
        `${((100 * gflops) / ceiling).toFixed(0)} %`,
        (peak / 2 ** 20).toFixed(1),
        ((tokens * config.projection * 4) / 2 ** 20).toFixed(2),
      ];
      rows.push(`| ${cells.join(' | ')} |`);
    }
  }
  const { width, blocks, heads, ffnWidth } = config;
  console.log(
    [
      `### ${name}: ${blocks} blocks of ${width}, ${heads} heads, feed-forward ${ffnWidth}, ${(weights.byteLength / 2 ** 20).toFixed(1)} MiB`,
      `${ceilings.adapter}, f32 multiply-adds ${Number(env.CEILING ?? ceilings.f32GFlops).toFixed(1)} GFLOP/s, clock ${env.CLOCK ?? 'wall'}, load ${loadavg()[0].toFixed(1)}, medians of ${RUNS} (range).`,
      '',
      '| precision | picture | tokens | ms | GFLOP/s | of the ceiling | MiB while it is read | MiB kept |',
      '|---|---|---|---|---|---|---|---|',
      ...rows,
    ].join('\n'),
  );
  tower.dispose();
  weights.close();
  gpu.dispose();
});

/** Multiplications and additions of products and attention. */
function operations({ width, ffnWidth, blocks, patchSize, merge, projection }: VisionConfig, size: number): number {
  const patches = (size / patchSize) ** 2;
  const tokens = patches / merge ** 2;
  const unit = merge ** 2 * width;
  const embedding = patches * 2 * 3 * patchSize ** 2 * width;
  const block = patches * (4 * width * width + 2 * width * ffnWidth) + 2 * patches * patches * width;
  return 2 * (embedding + blocks * block + tokens * (unit * unit + unit * projection));
}

/** An mmproj with random halves. */
function wideTower(): Uint8Array<ArrayBuffer> {
  const { width, heads, ffn, blocks, projection } = WIDE;
  const random = randomSource(1);
  const tensors: { name: string; typeId: number; shape: number[]; data: Uint8Array<ArrayBuffer> }[] = [];
  const matrix = (name: string, shape: number[]) => {
    const values = new Uint16Array(shape.reduce((a, b) => a * b, 1));
    // Halves of ±0.016 to ±0.031: sign, exponent 9, and any mantissa.
    for (let i = 0; i < values.length; i++) values[i] = (random() < 0.5 ? 0x8000 : 0) | 0x2400 | (random() * 1024);
    tensors.push({ name, typeId: F16, shape, data: new Uint8Array(values.buffer) });
  };
  const vector = (name: string, length: number, value: number) => {
    tensors.push({
      name,
      typeId: F32,
      shape: [length],
      data: new Uint8Array(new Float32Array(length).fill(value).buffer),
    });
  };
  const linear = (name: string, rows: number, columns: number) => {
    matrix(`${name}.weight`, [rows, columns]);
    vector(`${name}.bias`, rows, 0.01);
  };
  const norm = (name: string) => {
    vector(`${name}.weight`, width, 1);
    vector(`${name}.bias`, width, 0);
  };
  matrix('v.patch_embd.weight', [width, 3, 16, 16]);
  matrix('v.patch_embd.weight.1', [width, 3, 16, 16]);
  vector('v.patch_embd.bias', width, 0);
  matrix('v.position_embd.weight', [48 * 48, width]);
  for (let i = 0; i < blocks; i++) {
    norm(`v.blk.${i}.ln1`);
    linear(`v.blk.${i}.attn_qkv`, 3 * width, width);
    linear(`v.blk.${i}.attn_out`, width, width);
    norm(`v.blk.${i}.ln2`);
    linear(`v.blk.${i}.ffn_up`, ffn, width);
    linear(`v.blk.${i}.ffn_down`, width, ffn);
  }
  norm('v.post_ln');
  linear('mm.0', 4 * width, 4 * width);
  linear('mm.2', projection, 4 * width);
  const key = (name: string) => `clip.vision.${name}`;
  return writeGguf({
    metadata: {
      'general.architecture': 'clip',
      'general.name': 'wide tower',
      'clip.projector_type': 'qwen3vl_merger',
      'clip.has_vision_encoder': true,
      [key('image_size')]: 768,
      [key('patch_size')]: 16,
      [key('embedding_length')]: width,
      [key('feed_forward_length')]: ffn,
      [key('block_count')]: blocks,
      [key('attention.head_count')]: heads,
      [key('attention.layer_norm_epsilon')]: 1e-6,
      [key('projection_dim')]: projection,
      [key('spatial_merge_size')]: 2,
    },
    tensors,
  });
}

/**
 * Processor time of the gated delta rule by shape: a prompt of TOKENS=128 through one layer of the 0.8B model's size
 * (HEADS=16x16 key and value heads of 128). Processor time, shared out over all cores, because software adapters are often
 * measured on busy machines; on a GPU set CLOCK=wall.
 */
import { afterAll, test } from 'vitest';
import { Recorder } from '../src/gpu/index.ts';
import { deltaChannels, deltaNet, deltaNetShapes, projectionStride } from '../src/kernels/delta-net.ts';
import { openTestGpu } from '../tools/testing/kernels.ts';
import { randomNormal } from '../tools/testing/random.ts';
import { fastestInTurn } from './in-turn.ts';

const env = process.env;
const tokens = Number(env.TOKENS ?? 128);
const [keyHeads, valueHeads] = (env.HEADS ?? '16x16').split('x').map(Number);
const dims = { keyHeads, valueHeads, headDim: 128 };
const RUNS = 12;

const gpu = await openTestGpu();
afterAll(() => gpu.dispose());

test('delta rule', async () => {
  const channels = deltaChannels(dims);
  const qkv = gpu.upload('qkv', randomNormal(1, tokens * channels, 0.1));
  const projected = gpu.createBuffer('projected', 4 * tokens * projectionStride(dims));
  const gates = gpu.upload('gates', new Float32Array(2 * tokens * valueHeads).fill(0.5));
  const o = gpu.createBuffer('o', 4 * tokens * valueHeads * dims.headDim);
  const state = {
    conv: gpu.createBuffer('conv', 4 * 3 * channels),
    recurrent: gpu.createBuffer('state', 4 * valueHeads * dims.headDim ** 2),
  };
  const step = gpu.createBuffer('step', 32);
  const shapes = deltaNetShapes(gpu, dims);
  const programs = await Promise.all(
    shapes.map((shape) => {
      const recorder = new Recorder(gpu);
      deltaNet(recorder, dims, { qkv, gates, projected, o }, state, tokens, { shape });
      return recorder.build('delta rule', step);
    }),
  );
  const best = await fastestInTurn(gpu, programs, { runs: RUNS, clock: env.CLOCK === 'wall' ? 'wall' : 'cpu' });
  console.log(`${gpu.adapterName}, ${tokens} tokens, ${keyHeads} × ${valueHeads} heads`);
  for (const [i, shape] of shapes.entries()) console.log(`${JSON.stringify(shape)}: ${best[i].toFixed(2)} ms`);
});

import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestGpu } from '../../tools/testing/kernels.ts';
import type { Gpu } from './device.ts';
import { Profiler } from './profiler.ts';
import { Recorder } from './program.ts';

let gpu: Gpu;

beforeAll(async () => {
  gpu = await openTestGpu();
});
afterAll(() => gpu.dispose());

/** silu(gate) · up of so many quadruples. */
function swiglu(rec: Recorder, quadruples: number): void {
  rec.dispatch(
    { name: 'swiglu' },
    { gate_up: gpu.createBuffer('gate and up', quadruples * 32), y: gpu.createBuffer('y', quadruples * 16) },
    { columns: quadruples, count: quadruples },
    [quadruples / 64],
    { weights: `matrix ${quadruples}`, weightBytes: quadruples },
  );
}

test('every dispatch of a program is timed, in order, with what it is', async () => {
  const profiler = new Profiler(gpu);
  const step = gpu.upload('step', new Uint32Array(4));
  const recorder = new Recorder(gpu);
  swiglu(recorder, 64);
  swiglu(recorder, 2 ** 18);
  const program = await recorder.build('test', step);

  for (let run = 0; run < 2; run++) {
    const encoder = gpu.device.createCommandEncoder();
    program.encode(encoder, profiler);
    gpu.device.queue.submit([encoder.finish()]);
    const timed = await profiler.take();
    expect(timed).toMatchObject([
      { kernel: 'swiglu', variant: '', weights: 'matrix 64', weightBytes: 64, grid: [1, 1, 1] },
      { kernel: 'swiglu', variant: '', weights: 'matrix 262144', weightBytes: 2 ** 18, grid: [4096, 1, 1] },
    ]);
    expect(timed[0].ns).toBeGreaterThanOrEqual(0); // a browser rounds it away
    expect(timed[1].ns).toBeGreaterThan(0);
  }
  expect(await profiler.take()).toEqual([]);

  const buffers = gpu.liveBuffers;
  profiler.dispose();
  expect(gpu.liveBuffers).toBe(buffers - 1);
});

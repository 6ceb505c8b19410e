import { afterEach, beforeEach, expect, test } from 'vitest';
import { testGpu } from '../../tools/test-gpu.ts';
import { QwenError } from '../errors.ts';
import { Gpu } from './device.ts';
import { Recorder } from './program.ts';

let gpu: Gpu;
beforeEach(async () => {
  gpu = await Gpu.open(await testGpu(), { memoryBytes: 1 << 20 });
});
afterEach(() => gpu.dispose());

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof QwenError) return error.code;
    throw error;
  }
  return undefined;
}

test('counts bytes alive and the most there ever were', () => {
  const a = gpu.createBuffer('a', 1000); // rounded up to 16 bytes
  const b = gpu.createBuffer('b', 0); // never empty
  expect(gpu.bytes).toBe(1008 + 16);
  a.dispose();
  a.dispose(); // twice is once
  expect(gpu.bytes).toBe(16);
  expect(gpu.peakBytes).toBe(1024);
  b.dispose();
  expect(gpu.liveBuffers).toBe(0);
});

test('refuses what the budget or the device does not allow, and keeps what there is', () => {
  gpu.createBuffer('a', 1 << 19);
  expect(codeOf(() => gpu.createBuffer('b', (1 << 19) + 16))).toBe('out-of-memory');
  expect(codeOf(() => gpu.createBuffer('c', gpu.limits.maxBufferSize + 16))).toBe('device-limit');
  gpu.createBuffer('d', 1 << 19);
  expect(gpu.bytes).toBe(1 << 20);
});

test('writes and reads bytes of any length', async () => {
  const data = Uint8Array.from({ length: 23 }, (_, i) => i + 1);
  const buffer = gpu.upload('odd', data);
  expect(new Uint8Array(await gpu.read(buffer)).subarray(0, 24)).toEqual(Uint8Array.of(...data, 0));
});

test('an operation that WebGPU refuses is reported by the next call', async () => {
  gpu.device.createBuffer({ size: 4, usage: 0x0001 | 0x0080 }); // a mapped buffer cannot be storage
  await gpu.device.queue.onSubmittedWorkDone();
  // Uncaptured errors are events of their own.
  for (let i = 0; i < 50 && codeOf(() => gpu.assertAlive()) === undefined; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(codeOf(() => gpu.assertAlive())).toBe('shader');
});

test('a lost device says so', async () => {
  gpu.device.destroy();
  await expect(gpu.lost).resolves.toMatchObject({ code: 'device-lost' });
  expect(codeOf(() => gpu.createBuffer('a', 16))).toBe('device-lost');
});

test('after disposal every call says so', () => {
  gpu.dispose();
  expect(codeOf(() => gpu.createBuffer('a', 16))).toBe('disposed');
});

test('a launcher that disagrees with its shader is told which name is wrong', async () => {
  const step = gpu.createBuffer('step', 16);
  const x = gpu.createBuffer('x', 64);
  const build = (bindings: Record<string, typeof x>, params: Record<string, number>) => {
    const recorder = new Recorder(gpu);
    recorder.dispatch({ name: 'rms_norm', constants: { LANES: 64 } }, bindings, params, [1]);
    return recorder.build('test', step);
  };
  const right = { x, weight: x, y: gpu.createBuffer('y', 64) };
  const params = { columns: 4, first: 0, eps: 1e-6 };
  await expect(build({ x, weight: x } as typeof right, params)).rejects.toThrow('nothing bound to y');
  await expect(build({ ...right, z: x }, params)).rejects.toThrow('no binding z');
  await expect(build(right, { columns: 4, first: 0 })).rejects.toThrow('eps is missing');
  await expect(build(right, { ...params, rows: 1 })).rejects.toThrow('no parameter rows');
});

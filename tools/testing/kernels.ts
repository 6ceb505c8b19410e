/** What kernel tests share: devices for each variant, running a few dispatches, and reading results. */
import { expect } from 'vitest';
import { Gpu, type GpuBuffer, Recorder } from '../../src/gpu/index.ts';
import { StagingBuffer, WeightMatrix } from '../../src/kernels/weight-matrix.ts';
import type { TensorType } from '../../src/weights/types.ts';
import { testGpu } from '../test-gpu.ts';
import { randomBlocks } from './random.ts';

type Without = NonNullable<NonNullable<Parameters<typeof Gpu.open>[1]>['without']>;

/** A device of the test run's adapter, without the capabilities named. */
export async function openTestGpu(without: Without = []): Promise<Gpu> {
  return Gpu.open(await testGpu(), { without });
}

/** What the test run's adapter can do, for tests that only some adapters can run. */
export async function testCapabilities(): Promise<Gpu['capabilities']> {
  const gpu = await openTestGpu();
  gpu.dispose();
  return gpu.capabilities;
}

/** Variants by capability; a test runs once for each. Those that the adapter lacks are named by the caller's condition. */
export const subgroupVariants: readonly { title: string; without: Without }[] = [
  { title: 'with subgroups', without: [] },
  { title: 'without subgroups', without: ['subgroups'] },
];

/** Records, runs and waits; then reads a buffer of floats. */
export async function run(
  gpu: Gpu,
  record: (rec: Recorder) => void,
  {
    position = 0,
    state = 0,
    into = 0,
    often,
  }: { position?: number; state?: number; into?: number; often?: boolean } = {},
): Promise<void> {
  const stepBuffer = gpu.upload('step', new Uint32Array([position, into, 0, state]));
  const recorder = new Recorder(gpu, often);
  record(recorder);
  const program = await recorder.build('test', stepBuffer);
  const encoder = gpu.device.createCommandEncoder();
  gpu.device.pushErrorScope('validation');
  program.encode(encoder);
  gpu.device.queue.submit([encoder.finish()]);
  await gpu.device.queue.onSubmittedWorkDone();
  expect(await gpu.device.popErrorScope()).toBeNull();
  program.dispose();
  stepBuffer.dispose();
}

export async function readFloats(gpu: Gpu, buffer: GpuBuffer, length: number): Promise<Float32Array> {
  return new Float32Array(await gpu.read(buffer), 0, length);
}

/** A matrix (or stack of them) of random blocks on the GPU, with its bytes for the reference. */
export async function randomMatrix(
  gpu: Gpu,
  type: TensorType,
  shape: readonly number[],
  seed: number,
  maxBindingBytes?: number,
): Promise<{ matrix: WeightMatrix; bytes: Uint8Array<ArrayBuffer> }> {
  const bytes = randomBlocks(
    type,
    shape.reduce((a, b) => a * b),
    seed,
  );
  const matrix = WeightMatrix.allocate(gpu, type, type, shape, maxBindingBytes);
  const staging = new StagingBuffer(gpu, bytes.byteLength);
  await matrix.write(gpu, staging, 0, bytes);
  staging.dispose();
  return { matrix, bytes };
}

/**
 * Every element within `tolerance` of the expected, relative to the root mean square of what is expected: sums of n f32
 * products err by about sqrt(n)·2^-24 of their size, so 1e-5 is generous for n up to thousands and far below any mistake.
 */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5): void {
  expect(actual.length).toBe(expected.length);
  let square = 0;
  for (let i = 0; i < expected.length; i++) square += expected[i] ** 2;
  const scale = Math.sqrt(square / expected.length) || 1;
  let worst = 0;
  let where = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]) / scale;
    if (!(error <= worst)) {
      worst = error;
      where = i;
      if (Number.isNaN(error)) break;
    }
  }
  expect(
    worst,
    `element ${where}: ${actual[where]} instead of ${expected[where]} (relative to rms ${scale})`,
  ).toBeLessThanOrEqual(tolerance);
}

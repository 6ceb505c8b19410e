/**
 * GB/s of quantised weights that one-token products read, for each tensor type and shape of workgroups.
 * TYPES=Q4_K,Q8_0 and SHAPES=8x8,32x4 (lanes × rows) narrow the run; SIZE=4096x2048 is the matrix; DEVICE=plain does without
 * subgroups; CLOCK=cpu counts processor time shared out over all cores, for a software adapter on a busy machine.
 */
import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, test } from 'vitest';
import { Recorder } from '../src/gpu/index.ts';
import { type MatvecShape, matvec, matvecShape } from '../src/kernels/matvec.ts';
import { tensorTypes } from '../src/weights/quant-types.ts';
import type { TensorType } from '../src/weights/types.ts';
import { openTestGpu, randomMatrix } from '../tools/testing/kernels.ts';
import { randomNormal } from '../tools/testing/random.ts';

const env = process.env;
const types = (env.TYPES?.split(',') ?? tensorTypes) as TensorType[];
const [rows, columns] = (env.SIZE ?? '4096x2048').split('x').map(Number);
/** Other work on the machine only ever slows a run down, so the fastest of many is the figure. */
const RUNS = 40;
const PRODUCTS_PER_RUN = 4;

const gpu = await openTestGpu(env.DEVICE === 'plain' ? ['subgroups'] : []);
const shapes: MatvecShape[] = env.SHAPES
  ? env.SHAPES.split(',').map((s) => {
      const [lanes, rowsEach] = s.split('x').map(Number);
      return { lanes, rows: rowsEach };
    })
  : [matvecShape(gpu)];
const table: string[] = [];

function milliseconds(): number {
  if (env.CLOCK !== 'cpu') return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000 / availableParallelism();
}

beforeAll(() => {
  table.push(
    `${gpu.adapterName}, [${rows}, ${columns}]`,
    `| type | ${shapes.map((s) => `${s.lanes}×${s.rows}`).join(' | ')} |`,
  );
});

afterAll(() => {
  console.log(table.join('\n'));
  gpu.dispose();
});

test.each(types)('matvec %s', async (type) => {
  const { matrix, bytes } = await randomMatrix(gpu, type, [rows, columns], 1);
  const x = gpu.upload('x', randomNormal(2, columns));
  const y = gpu.createBuffer('y', rows * 4);
  const step = gpu.upload('step', new Uint32Array(4));
  const cells: string[] = [];
  for (const shape of shapes) {
    const recorder = new Recorder(gpu);
    for (let i = 0; i < PRODUCTS_PER_RUN; i++) matvec(recorder, matrix, x, y, 1, { shape });
    const program = await recorder.build(type, step);
    let best = Number.POSITIVE_INFINITY;
    for (let run = 0; run <= RUNS; run++) {
      const encoder = gpu.device.createCommandEncoder();
      program.encode(encoder);
      const started = milliseconds();
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.device.queue.onSubmittedWorkDone();
      const elapsed = (milliseconds() - started) / PRODUCTS_PER_RUN;
      if (run > 0) best = Math.min(best, elapsed); // the first run compiles
    }
    program.dispose();
    cells.push(`${(bytes.byteLength / best / 1e6).toFixed(2)}`);
  }
  table.push(`| ${type} | ${cells.join(' | ')} |`);
  for (const owner of [matrix, x, y, step]) owner.dispose();
});

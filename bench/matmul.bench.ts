/**
 * Thousand millions of operations a second of products with many tokens, for each tensor type and every shape that the device
 * may be given; those of small integers with the rounding of x. TYPES=Q4_K,Q8_0, SIZE=1024x1024 and TOKENS=64 are the defaults; F16=1 tiles in f16; CLOCK=cpu counts processor
 * time shared out over all cores, for a software adapter on a busy machine.
 */
import { afterAll, test } from 'vitest';
import { Recorder } from '../src/gpu/index.ts';
import { int8Shapes, type MatmulShape, matmul, matmulShapes } from '../src/kernels/matmul.ts';
import { quantizeActivations, quantizedBytes } from '../src/kernels/quantize-activations.ts';
import type { TensorType } from '../src/weights/types.ts';
import { openTestGpu, randomMatrix } from '../tools/testing/kernels.ts';
import { randomNormal } from '../tools/testing/random.ts';
import { fastestInTurn } from './in-turn.ts';

const env = process.env;
const types = (env.TYPES ?? 'Q4_K,Q8_0').split(',') as TensorType[];
const [rows, columns] = (env.SIZE ?? '1024x1024').split('x').map(Number);
const tokens = Number(env.TOKENS ?? 64);
const f16 = env.F16 === '1';
const RUNS = 10;

const gpu = await openTestGpu();
afterAll(() => gpu.dispose());

function name(shape: MatmulShape): string {
  const size = `${shape.kind} ${shape.rows} × ${shape.tokens}`;
  if (shape.kind === 'quads') return size;
  return `${size}, ${'lanes' in shape ? `${shape.lanes} lanes` : `${shape.laneRows} × ${shape.laneTokens} a lane`}`;
}

test.each(types)('matmul %s', async (type) => {
  const { matrix } = await randomMatrix(gpu, type, [rows, columns], 1);
  const x = gpu.upload('x', randomNormal(2, tokens * columns));
  const y = gpu.createBuffer('y', 4 * tokens * rows);
  const step = gpu.createBuffer('step', 32);
  const quantized = gpu.createBuffer('quantized', quantizedBytes(tokens * columns));
  const shapes = [...matmulShapes(gpu, 'wide', f16), ...int8Shapes(gpu, 'wide')];
  const programs = await Promise.all(
    shapes.map((shape) => {
      const recorder = new Recorder(gpu);
      const quantize = () => {
        quantizeActivations(recorder, x, quantized, tokens * columns);
        return quantized;
      };
      matmul(recorder, matrix, x, y, tokens, { f16, shape, quantized: quantize });
      return recorder.build(type, step);
    }),
  );
  const best = await fastestInTurn(gpu, programs, { runs: RUNS, clock: env.CLOCK === 'cpu' ? 'cpu' : 'wall' });
  console.log(`${gpu.adapterName}, ${type} [${rows}, ${columns}] by ${tokens} tokens${f16 ? ', f16' : ''}`);
  for (const [i, shape] of shapes.entries()) {
    console.log(`${name(shape)}: ${((2 * rows * columns * tokens) / best[i] / 1e6).toFixed(1)} GFLOP/s`);
  }
  for (const program of programs) program.dispose();
  for (const owner of [matrix, x, quantized, y, step]) owner.dispose();
});

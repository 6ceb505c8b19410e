/**
 * Our 4-bit products beside onnxruntime-web's MatMulNBits, in one page on one adapter, in turn: the same numbers in both, which
 * is checked. Input and output stay on the GPU; a time is of several products submitted one after another, and waited for.
 */
import { expect, test } from 'vitest';
import { Gpu, Recorder } from '../../src/gpu/index.ts';
import { matmul } from '../../src/kernels/matmul.ts';
import { matvec } from '../../src/kernels/matvec.ts';
import { StagingBuffer, WeightMatrix } from '../../src/kernels/weight-matrix.ts';
import { expectClose, randomMatrix, readFloats } from '../../tools/testing/kernels.ts';
import { randomNormal, randomSource, toHalf } from '../../tools/testing/random.ts';
import { asOnnx, asQ4_0, BLOCK, type FourBitMatrix } from './model.ts';

declare const PEERS: string;

const SHAPES = [
  { rows: 3584, columns: 1024 },
  { rows: 2048, columns: 2048 },
];
const ROUNDS = 5;

interface Contestant {
  name: string;
  /** Products, and resolves when the GPU has done them. */
  run(times: number): Promise<void>;
  output(): Promise<Float32Array>;
  /** What it may err by, relative to the rms. */
  tolerance: number;
  dispose(): Promise<void> | void;
}

/** What we use of onnxruntime-web. */
interface Ort {
  env: { wasm: { wasmPaths: string; numThreads: number }; webgpu: { device: Promise<GPUDevice> | GPUDevice } };
  InferenceSession: {
    create(model: Uint8Array, options: Record<string, unknown>): Promise<OrtSession>;
  };
  Tensor: { fromGpuBuffer(buffer: GPUBuffer, options: { dataType: string; dims: readonly number[] }): OrtTensor };
}
interface OrtSession {
  run(inputs: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}
interface OrtTensor {
  getData(): Promise<Float32Array>;
  dispose(): void;
}

function randomFourBits(rows: number, columns: number): FourBitMatrix {
  const random = randomSource(1);
  return {
    rows,
    columns,
    quants: Uint8Array.from({ length: rows * columns }, () => Math.floor(16 * random())),
    // A power of two and a few bits of mantissa: exact in half precision.
    scales: Float32Array.from({ length: (rows * columns) / BLOCK }, () => (1 + Math.floor(8 * random()) / 8) / 256),
  };
}

async function ours(
  gpu: Gpu,
  matrix: FourBitMatrix | 'Q4_K',
  shape: { rows: number; columns: number },
  x: Float32Array<ArrayBuffer>,
): Promise<Contestant> {
  const { rows, columns } = shape;
  const tokens = x.length / columns;
  const type = matrix === 'Q4_K' ? 'Q4_K' : 'Q4_0';
  let weights: WeightMatrix;
  if (matrix === 'Q4_K') {
    weights = (await randomMatrix(gpu, type, [rows, columns], 1)).matrix;
  } else {
    const bytes = asQ4_0(matrix, toHalf);
    weights = WeightMatrix.allocate(gpu, type, type, [rows, columns]);
    const staging = new StagingBuffer(gpu, bytes.byteLength);
    await weights.write(gpu, staging, 0, bytes);
    staging.dispose();
  }
  const input = gpu.upload('x', x);
  const y = gpu.createBuffer('y', rows * tokens * 4);
  const step = gpu.upload('step', new Uint32Array(4));
  const recorder = new Recorder(gpu);
  if (tokens === 1) matvec(recorder, weights, input, y, tokens);
  else matmul(recorder, weights, input, y, tokens);
  const program = await recorder.build(type, step);
  return {
    name: `qwen-webgpu, ${type}`,
    tolerance: 1e-5,
    async run(times) {
      for (let i = 0; i < times; i++) {
        const encoder = gpu.device.createCommandEncoder();
        program.encode(encoder);
        gpu.device.queue.submit([encoder.finish()]);
      }
      await gpu.device.queue.onSubmittedWorkDone();
    },
    output: () => readFloats(gpu, y, rows * tokens),
    dispose() {
      for (const owner of [program, weights, input, y, step]) owner.dispose();
    },
  };
}

async function theirs(
  ort: Ort,
  matrix: FourBitMatrix,
  x: Float32Array<ArrayBuffer>,
  accuracy: number,
): Promise<Contestant> {
  const { columns } = matrix;
  const tokens = x.length / columns;
  const session = await ort.InferenceSession.create(asOnnx(matrix, tokens, accuracy), {
    executionProviders: ['webgpu'],
    preferredOutputLocation: 'gpu-buffer',
  });
  const device = await ort.env.webgpu.device;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const buffer = device.createBuffer({ size: x.byteLength, usage });
  device.queue.writeBuffer(buffer, 0, x);
  const input = ort.Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims: [tokens, columns] });
  const once = async () => (await session.run({ x: input })).y;
  return {
    name: `onnxruntime-web, accuracy level ${accuracy}`,
    tolerance: accuracy === 4 ? 0.05 : 1e-5,
    async run(times) {
      for (let i = 0; i < times; i++) (await once()).dispose();
      await device.queue.onSubmittedWorkDone();
    },
    output: async () => (await once()).getData(),
    async dispose() {
      await session.release();
      buffer.destroy();
    },
  };
}

/** The product in float64, of some rows of some tokens. */
function reference({ rows, columns, quants, scales }: FourBitMatrix, x: Float32Array, from: number): Float64Array {
  const row = from % rows;
  const token = Math.floor(from / rows);
  let sum = 0;
  for (let c = 0; c < columns; c++) {
    sum += (quants[row * columns + c] - 8) * scales[(row * columns + c) >> 5] * x[token * columns + c];
  }
  return Float64Array.of(sum);
}

test('4-bit products', async () => {
  const ort = (await import(/* @vite-ignore */ `${PEERS}/onnxruntime-web/dist/ort.webgpu.min.mjs`)) as Ort;
  ort.env.wasm.wasmPaths = `${PEERS}/onnxruntime-web/dist/`;
  ort.env.wasm.numThreads = 1;
  const gpu = await Gpu.open(navigator.gpu);
  const lines = [
    '| shape | tokens | program | ms a product | GFLOP/s | ÷ the faster of onnxruntime-web |',
    '|---|---|---|---|---|---|',
  ];
  for (const { rows, columns } of SHAPES) {
    for (const tokens of [1, 128]) {
      const matrix = randomFourBits(rows, columns);
      const x = randomNormal(2, tokens * columns);
      const contestants = [
        await ours(gpu, matrix, matrix, x),
        await ours(gpu, 'Q4_K', matrix, x),
        await theirs(ort, matrix, x, 0),
        // With int8 inputs it is slower on SwiftShader by a factor of three to four where there are many tokens.
        ...(tokens === 1 ? [await theirs(ort, matrix, x, 4)] : []),
      ];
      const sampled = Array.from({ length: 64 }, (_, i) => (i * 7919 * 31) % (rows * tokens));
      for (const { name, run, output, tolerance } of contestants) {
        await run(1);
        const y = await output();
        if (name.endsWith('Q4_K')) continue; // other weights
        expectClose(
          sampled.map((at) => y[at]),
          sampled.map((at) => reference(matrix, x, at)[0]),
          tolerance,
        );
      }
      const times = contestants.map(() => [] as number[]);
      const repeats = tokens === 1 ? 8 : 1;
      for (let round = 0; round <= ROUNDS; round++) {
        for (const [i, contestant] of contestants.entries()) {
          const start = performance.now();
          await contestant.run(repeats);
          if (round > 0) times[i].push((performance.now() - start) / repeats);
        }
      }
      const medians = times.map((list) => list.sort((a, b) => a - b)[ROUNDS >> 1]);
      const best = Math.min(...medians.slice(2));
      for (const [i, { name }] of contestants.entries()) {
        const rate = (2 * rows * columns * tokens) / medians[i] / 1e6;
        lines.push(
          `| ${columns} → ${rows} | ${tokens} | ${name} | ${medians[i].toFixed(2)} | ${rate.toFixed(2)} | ${(best / medians[i]).toFixed(2)} |`,
        );
        expect(rate).toBeGreaterThan(0);
      }
      for (const contestant of contestants) await contestant.dispose();
    }
  }
  console.log(`${gpu.adapterName}, medians of ${ROUNDS}\n${lines.join('\n')}`);
  gpu.dispose();
});

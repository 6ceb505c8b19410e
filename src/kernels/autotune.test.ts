import { afterAll, expect, test, vi } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { dequantize } from '../../tools/testing/dequantize.ts';
import { expectClose, openTestGpu, randomMatrix, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal } from '../../tools/testing/random.ts';
import { Gpu } from '../gpu/index.ts';
import { type AutotuneSettings, autotune, type Candidate, type Measure } from './autotune.ts';
import { choicesOf, choose } from './choices.ts';
import { deltaNetShapes } from './delta-net.ts';
import { int8Shapes, matmulShape, matmulShapes } from './matmul.ts';
import { matvec, matvecShape, matvecShapes } from './matvec.ts';

const gpu = await openTestGpu();
useBuffers(gpu);
const plain = await openTestGpu(['subgroups']);
afterAll(() => plain.dispose());

const settings = { type: 'Q8_0', deltaNet: { keyHeads: 1, valueHeads: 2, headDim: 64 }, f16: false } as const;

/** A measurement that takes `costs` and a second of an imagined clock for each candidate. */
function imagined(cost: (candidate: Candidate) => number) {
  const measured: Candidate[] = [];
  let clock = 0;
  const measure: Measure = async (_record, candidate) => {
    measured.push(candidate);
    clock += 1000;
    return cost(candidate);
  };
  return { measured, measure, now: () => clock };
}

const all = {
  matvec: matvecShapes(gpu),
  wide: matmulShapes(gpu, 'wide', false),
  narrow: matmulShapes(gpu, 'narrow', false),
  deltaNet: deltaNetShapes(gpu, settings.deltaNet),
};

test('measures every candidate once and takes the fastest of each kernel', async () => {
  const last = new Set([all.matvec, all.wide, all.narrow, all.deltaNet].map((shapes) => JSON.stringify(shapes.at(-1))));
  const { measured, ...fake } = imagined(({ shape }) => (last.has(JSON.stringify(shape)) ? 1 : 2));
  const choices = await autotune(gpu, { ...settings, ...fake, budgetMs: Infinity });
  const contests = [all.matvec, all.wide, all.narrow, all.deltaNet].filter(({ length }) => length > 1);
  expect(measured.length).toBe(contests.reduce((sum, { length }) => sum + length, 0));
  expect(choices).toEqual({
    matvec: all.matvec.at(-1),
    matmul: { wide: all.wide.at(-1), narrow: all.narrow.at(-1) },
    deltaNet: all.deltaNet.at(-1),
  });
});

test('with leave to round, small integers are measured too, against the floats that won', async () => {
  const integers = int8Shapes(gpu, 'wide');
  const [float, best] = [all.wide.at(-1), integers.at(-1)];
  const { measured, ...fake } = imagined(({ kernel, shape }) => {
    const fastest = kernel === 'int8 matmul wide' ? best : float;
    return JSON.stringify(shape) === JSON.stringify(fastest) ? 1 : 2;
  });
  const choices = await autotune(gpu, { ...settings, ...fake, int8: true, budgetMs: Infinity });
  expect(choices.matmul?.wide).toEqual(float);
  expect(choices.matmulInt8?.wide).toEqual(best);
  const rounded = measured.filter(({ kernel }) => kernel === 'int8 matmul wide').map(({ shape }) => shape);
  expect(rounded).toEqual([float, ...integers]);
});

test('stays with the table where nothing is clearly faster', async () => {
  const { measure, now } = imagined(({ shape }) => (shape === all.matvec[0] ? 1 : 0.97));
  const { matvec: chosen } = await autotune(gpu, { ...settings, measure, now, budgetMs: Infinity });
  expect(chosen).toEqual(all.matvec[0]);
});

test('takes none that gives other results than the table’s, or does not run, however fast', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const tables = new Set([all.matvec[0], all.wide[0]].map((shape) => JSON.stringify(shape)));
  const measure: Measure = async (record, { kernel, shape }) => {
    if (kernel === 'matmul narrow' || kernel === 'deltaNet') return 1;
    if (tables.has(JSON.stringify(shape))) {
      await run(gpu, record);
      return 2;
    }
    if (kernel === 'matmul wide') throw new Error('no such instruction');
    return 1; // and nothing done
  };
  const choices = await autotune(gpu, { ...settings, measure, budgetMs: Infinity });
  expect(choices).toMatchObject({ matvec: all.matvec[0], matmul: { wide: all.wide[0] } });
  const warnings = warn.mock.calls.map(([text]) => String(text));
  expect(warnings).toContainEqual(expect.stringMatching(/matvec gives wrong results/));
  expect(warnings).toContainEqual(expect.stringMatching(/matmul wide does not run/));
  warn.mockRestore();
});

test('begins nothing after its time, and keeps the best until then', async () => {
  const { measured, ...fake } = imagined(({ shape }) =>
    JSON.stringify(shape) === JSON.stringify(all.matvec[1]) ? 1 : 2,
  );
  const choices = await autotune(gpu, { ...settings, ...fake, budgetMs: 1500 });
  expect(measured.map(({ shape }) => shape)).toEqual(all.matvec.slice(0, 2));
  expect(choices).toEqual({ matvec: all.matvec[1] });
  const none = imagined(() => 1);
  expect(await autotune(gpu, { ...settings, ...none, budgetMs: 0 })).toEqual({});
  expect(none.measured).toEqual([]);
});

test.each([
  { title: 'an abort', settings: () => ({ signal: AbortSignal.abort(new DOMException('stop', 'AbortError')) }) },
  { title: 'a candidate that fails', settings: () => ({ measure: () => Promise.reject(new Error('no driver')) }) },
] satisfies { title: string; settings: () => Partial<AutotuneSettings> }[])(
  '$title ends it, and nothing stays allocated',
  async ({ settings: failing }) => {
    const before = gpu.liveBuffers;
    await expect(autotune(gpu, { ...settings, ...failing() })).rejects.toThrow(/stop|no driver/);
    expect(gpu.liveBuffers).toBe(before);
  },
);

test('what is chosen holds for a device and its rehearsals, and is given up where it does not fit', () => {
  const wide = { kind: 'tiled', rows: 32, tokens: 16, laneRows: 4, laneTokens: 2 } as const;
  choose(gpu, { matvec: { lanes: 32, rows: 2 }, matmul: { wide } });
  for (const device of [gpu, gpu.rehearsal()]) {
    expect(matvecShape(device)).toEqual({ lanes: 32, rows: 2 });
    expect(matmulShape(device, 'wide', false)).toEqual(wide);
    expect(matmulShape(device, 'narrow', false)).toEqual(all.narrow[0]);
  }
  choose(gpu, { matmul: { wide: { ...wide, rows: 8192 } } });
  expect(matmulShape(gpu, 'wide', false)).toEqual(all.wide[0]);
  choose(gpu, {});
  expect(choicesOf(gpu)).toEqual({});
});

test('real candidates take time, measured with and without timestamps', async () => {
  const untimed = await openTestGpu(['timestamps']);
  for (const device of [gpu, untimed]) {
    const { matvec: chosen } = await autotune(device, { ...settings, budgetMs: 1 });
    expect(matvecShapes(device)).toContainEqual(chosen);
  }
  untimed.dispose();
});

test.each([
  { title: 'this adapter', device: gpu },
  { title: 'one without subgroups', device: plain },
])('every matvec shape for $title but the first, which has tests of its own, gives the product', async ({ device }) => {
  expect(device).toBeInstanceOf(Gpu);
  for (const shape of matvecShapes(device).slice(1)) {
    const [rows, columns] = [35, 96];
    const { matrix, bytes } = await randomMatrix(device, 'F32', [rows, columns], 2);
    const values = randomNormal(3, columns);
    const x = device.upload('x', values);
    const y = device.createBuffer('y', rows * 4);
    await run(device, (rec) => matvec(rec, matrix, x, y, 1, { shape }));
    const w = dequantize('F32', bytes);
    const expected = Array.from({ length: rows }, (_, r) =>
      values.reduce((sum, v, c) => sum + v * w[r * columns + c], 0),
    );
    expectClose(await readFloats(device, y, rows), expected);
    for (const owner of [matrix, x, y]) owner.dispose();
  }
});

import { afterAll, expect, test, vi } from 'vitest';
import { openTestGpu } from '../../tools/testing/kernels.ts';
import { choicesOf } from '../kernels/choices.ts';
import { matvecShapes } from '../kernels/matvec.ts';
import { type ChooseSettings, choicesKey, chooseKernels } from './kernel-choices.ts';

const gpu = await openTestGpu();
afterAll(() => gpu.dispose());

const shapes = { type: 'F16', deltaNet: { keyHeads: 1, valueHeads: 2, headDim: 64 }, f16: false } as const;
const settings = (more: Partial<ChooseSettings>): ChooseSettings => ({
  ...shapes,
  wanted: true,
  keep: true,
  open: () => openTestGpu(),
  ...more,
});

test('without measuring, and by default on software adapters, the tables hold', async () => {
  const open = vi.fn(() => openTestGpu());
  expect(await chooseKernels(gpu, settings({ wanted: false, open }))).toEqual({ from: 'table' });
  if (gpu.capabilities.software) {
    expect(await chooseKernels(gpu, settings({ wanted: undefined, open }))).toEqual({ from: 'table' });
  }
  expect(open).not.toHaveBeenCalled();
  expect(choicesOf(gpu)).toEqual({});
});

test('a failing measurement leaves the tables, and the device alive', async () => {
  const warned = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const measure = () => Promise.reject(new Error('driver bug'));
  expect(await chooseKernels(gpu, settings({ measure }))).toEqual({ from: 'table' });
  expect(warned).toHaveBeenCalledOnce();
  warned.mockRestore();
  gpu.assertAlive();
});

test('an abort stops the load', async () => {
  const stop = new AbortController();
  const measure = async () => {
    stop.abort(new DOMException('stop', 'AbortError'));
    return 1;
  };
  await expect(chooseKernels(gpu, settings({ measure, signal: stop.signal }))).rejects.toThrow('stop');
});

test('is measured once for an adapter, a type and the shaders', async () => {
  const second = JSON.stringify(matvecShapes(gpu)[1]);
  const measure = vi.fn(async (_record, { shape }) => (JSON.stringify(shape) === second ? 1 : 2));
  const first = await chooseKernels(gpu, settings({ measure }));
  expect(first).toMatchObject({ from: 'measured', matvec: matvecShapes(gpu)[1] });
  expect(choicesOf(gpu).matvec).toEqual(matvecShapes(gpu)[1]);
  const calls = measure.mock.calls.length;
  const other = await openTestGpu();
  expect(await chooseKernels(other, settings({ measure }))).toEqual({ ...first, from: 'remembered' });
  expect(choicesOf(other).matvec).toEqual(matvecShapes(gpu)[1]);
  expect(measure).toHaveBeenCalledTimes(calls);
  other.dispose();
  expect(choicesKey(gpu, { ...shapes, type: 'Q4_K' })).not.toBe(choicesKey(gpu, shapes));
});

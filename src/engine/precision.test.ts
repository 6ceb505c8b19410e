import { expect, test } from 'vitest';
import { openTestGpu } from '../../tools/testing/kernels.ts';
import type { Gpu } from '../gpu/index.ts';
import { arithmeticOf, choosePrecision } from './precision.ts';
import type { LoadOptions } from './types.ts';

const device = await openTestGpu();
device.dispose();
const withHalves = { capabilities: { ...device.capabilities, f16: true } } as Gpu;
const without = { capabilities: { ...device.capabilities, f16: false } } as Gpu;

test('the device decides unless the caller does, and never on 8 bits', () => {
  expect(choosePrecision(undefined, withHalves)).toBe('f16');
  expect(choosePrecision('auto', without)).toBe('f32');
  for (const wanted of ['f32', 'f16', 'int8'] as const) expect(choosePrecision(wanted, withHalves)).toBe(wanted);
});

test.each([
  { precision: 'f32', gpu: withHalves, means: { f16: false, int8: false } },
  { precision: 'f16', gpu: withHalves, means: { f16: true, int8: false } },
  { precision: 'int8', gpu: withHalves, means: { f16: true, int8: true } },
  { precision: 'int8', gpu: without, means: { f16: false, int8: true } },
] as const)('$precision means $means', ({ precision, gpu, means }) => {
  expect(arithmeticOf(precision, gpu)).toEqual(means);
});

test('what cannot be is refused with a typed error', () => {
  const refused = (wanted: string) => () => choosePrecision(wanted as LoadOptions['precision'], without);
  const error = (code: string) => expect.objectContaining({ code, param: 'precision' });
  expect(refused('f16')).toThrow(error('device-limit'));
  expect(refused('q8')).toThrow(error('invalid-request'));
});

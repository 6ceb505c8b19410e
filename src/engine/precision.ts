/** What arithmetic a model runs in. */
import { QwenError } from '../errors.ts';
import type { Gpu } from '../gpu/index.ts';
import type { Pass } from '../model/pass.ts';
import type { LoadOptions, Precision } from './types.ts';

const PRECISIONS: readonly Precision[] = ['f32', 'f16', 'int8'];

/** @throws QwenError `invalid-request`, or `device-limit` where the device lacks what was asked for */
export function choosePrecision(wanted: LoadOptions['precision'] = 'auto', { capabilities }: Gpu): Precision {
  if (wanted === 'auto') return capabilities.f16 ? 'f16' : 'f32';
  if (!PRECISIONS.includes(wanted)) {
    throw new QwenError(
      'invalid-request',
      `precision is '${wanted}'; it may be 'auto', '${PRECISIONS.join("', '")}'.`,
      { param: 'precision' },
    );
  }
  if (wanted === 'f16' && !capabilities.f16) {
    throw new QwenError(
      'device-limit',
      "This GPU has no half-precision arithmetic (shader-f16). Load with precision 'auto' or 'f32'.",
      { param: 'precision' },
    );
  }
  return wanted;
}

/** What it means to kernels: what is not rounded to 8 bits is in halves wherever the device has them. */
export function arithmeticOf(precision: Precision, { capabilities }: Gpu): Pick<Pass, 'f16' | 'int8'> {
  return { f16: precision !== 'f32' && capabilities.f16, int8: precision === 'int8' };
}

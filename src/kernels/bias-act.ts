import type { Bindable, Recorder } from '../gpu/index.ts';
import { foldGrid } from './lanes.ts';

/** `gelu-tanh` and `gelu-erf` are the two forms of GELU; they differ by up to 5e-4. */
export type BiasActivation = 'none' | 'gelu-tanh' | 'gelu-erf';

/** `x[t] = act(x[t] + bias)` in place. @param x `[rows, stride]` f32 @param bias f32: `columns` from `biasAt` on */
export function biasAct(
  rec: Recorder,
  x: Bindable,
  bias: Bindable,
  activation: BiasActivation,
  { rows, columns, stride = columns, biasAt = 0 }: { rows: number; columns: number; stride?: number; biasAt?: number },
): void {
  const count = (rows * columns) / 4;
  rec.dispatch(
    {
      name: 'bias_act',
      conditions: { gelu_tanh: activation === 'gelu-tanh', gelu_erf: activation === 'gelu-erf' },
    },
    { x, bias },
    { columns: columns / 4, stride: stride / 4, count, bias_at: biasAt / 4 },
    foldGrid(rec.gpu, Math.ceil(count / 64)),
  );
}

import type { Capabilities, Gpu } from '../gpu/index.ts';
import type { DeltaNetShape } from './delta-net.ts';
import type { MatmulShape, MatmulWidth } from './matmul.ts';
import type { MatvecShape } from './matvec.ts';

/** Shapes of kernels that were found to be the fastest on a device; what is missing is taken from the kernels' tables. */
export interface KernelChoices {
  readonly matvec?: MatvecShape;
  readonly matmul?: Readonly<Partial<Record<MatmulWidth, MatmulShape>>>;
  /** Where x may be rounded to 8 bits: of small integers, or not if that is faster. */
  readonly matmulInt8?: Readonly<Partial<Record<MatmulWidth, MatmulShape>>>;
  /** For many tokens. */
  readonly deltaNet?: DeltaNetShape;
}

/** By the object that a device shares with its rehearsals, so that they allocate alike. */
const choices = new WeakMap<Capabilities, KernelChoices>();

export function choicesOf({ capabilities }: Gpu): KernelChoices {
  return choices.get(capabilities) ?? {};
}

/** From now on programs that are recorded for the device use these. */
export function choose({ capabilities }: Gpu, chosen: KernelChoices): void {
  choices.set(capabilities, chosen);
}

/** Sizes of ggml's tensor types, by the numbers that GGUF files use for them. Source: ggml.h, ggml-common.h. */
import type { TensorType } from './types.ts';

export interface QuantType {
  /** Number in a GGUF's tensor table. */
  readonly id: number;
  /** Weights in a block; a block never crosses a row. */
  readonly blockWeights: number;
  readonly blockBytes: number;
}

export const quantTypes = {
  F32: { id: 0, blockWeights: 1, blockBytes: 4 },
  F16: { id: 1, blockWeights: 1, blockBytes: 2 },
  Q4_0: { id: 2, blockWeights: 32, blockBytes: 18 },
  Q4_1: { id: 3, blockWeights: 32, blockBytes: 20 },
  Q5_0: { id: 6, blockWeights: 32, blockBytes: 22 },
  Q5_1: { id: 7, blockWeights: 32, blockBytes: 24 },
  Q8_0: { id: 8, blockWeights: 32, blockBytes: 34 },
  Q2_K: { id: 10, blockWeights: 256, blockBytes: 84 },
  Q3_K: { id: 11, blockWeights: 256, blockBytes: 110 },
  Q4_K: { id: 12, blockWeights: 256, blockBytes: 144 },
  Q5_K: { id: 13, blockWeights: 256, blockBytes: 176 },
  Q6_K: { id: 14, blockWeights: 256, blockBytes: 210 },
  IQ2_XXS: { id: 16, blockWeights: 256, blockBytes: 66 },
  IQ2_XS: { id: 17, blockWeights: 256, blockBytes: 74 },
  IQ3_XXS: { id: 18, blockWeights: 256, blockBytes: 98 },
  IQ1_S: { id: 19, blockWeights: 256, blockBytes: 50 },
  IQ4_NL: { id: 20, blockWeights: 32, blockBytes: 18 },
  IQ3_S: { id: 21, blockWeights: 256, blockBytes: 110 },
  IQ2_S: { id: 22, blockWeights: 256, blockBytes: 82 },
  IQ4_XS: { id: 23, blockWeights: 256, blockBytes: 136 },
  IQ1_M: { id: 29, blockWeights: 256, blockBytes: 56 },
  BF16: { id: 30, blockWeights: 1, blockBytes: 2 },
  MXFP4: { id: 39, blockWeights: 32, blockBytes: 17 },
} as const satisfies Record<TensorType, QuantType>;

/** Types that files may hold and this package does not run, so that an error can name them. */
const otherTypes: Readonly<Record<number, string>> = {
  4: 'Q4_2',
  5: 'Q4_3',
  9: 'Q8_1',
  15: 'Q8_K',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  31: 'Q4_0_4_4',
  32: 'Q4_0_4_8',
  33: 'Q4_0_8_8',
  34: 'TQ1_0',
  35: 'TQ2_0',
  36: 'IQ4_NL_4_4',
  37: 'IQ4_NL_4_8',
  38: 'IQ4_NL_8_8',
  40: 'NVFP4',
};

export const tensorTypes = Object.keys(quantTypes) as readonly TensorType[];

const byId = new Map<number, TensorType>(tensorTypes.map((type) => [quantTypes[type].id, type]));

/** The type with this number in a GGUF, or undefined if this package does not run it. */
export function tensorTypeOfId(id: number): TensorType | undefined {
  return byId.get(id);
}

/** ggml's name for any type number, also those not run here. */
export function nameOfTypeId(id: number): string {
  return byId.get(id) ?? otherTypes[id] ?? `type ${id}`;
}

/** Bytes of a row of `columns` weights. @throws RangeError unless `columns` is a whole number of blocks. */
export function rowBytes(type: TensorType, columns: number): number {
  const { blockWeights, blockBytes } = quantTypes[type];
  if (columns % blockWeights !== 0) {
    throw new RangeError(
      `A row of ${columns} weights is not a whole number of ${type} blocks (${blockWeights} weights).`,
    );
  }
  return (columns / blockWeights) * blockBytes;
}

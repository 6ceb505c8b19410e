import type { TensorInfo, TensorType } from '../weights/types.ts';

type Typed = Pick<TensorInfo, 'type' | 'byteLength'>;

/** Types of tensors, the one with most bytes first. */
export function typesByBytes(tensors: Iterable<Typed>): TensorType[] {
  const bytes = new Map<TensorType, number>();
  for (const { type, byteLength } of tensors) bytes.set(type, (bytes.get(type) ?? 0) + byteLength);
  return [...bytes].sort((a, b) => b[1] - a[1]).map(([type]) => type);
}

/** `[layers]`: types of the experts' tensors, the one with most bytes first. Published files mix them by layer. */
export function expertTypes(tensors: readonly (Typed & Pick<TensorInfo, 'name'>)[], layers: number): string[][] {
  const byLayer = Array.from({ length: layers }, (): Typed[] => []);
  for (const tensor of tensors) {
    const layer = /^blk\.(\d+)\.ffn_\w+_exps\.weight$/.exec(tensor.name)?.[1];
    if (layer !== undefined) byLayer[Number(layer)]?.push(tensor);
  }
  return byLayer.map(typesByBytes);
}

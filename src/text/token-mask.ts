/** Which tokens may come next, decided anew for each: asked before a token is chosen, told which one it was. */
export interface TokenMask {
  /** One bit a token, 32 a word, the lowest first: 1 where it may come. Undefined: every token may. */
  next(): Promise<Uint32Array<ArrayBuffer> | undefined>;
  accept(id: number): void;
  dispose(): void;
}

export function allows(mask: Uint32Array, id: number): boolean {
  return ((mask[id >>> 5] >>> (id & 31)) & 1) === 1;
}

/** Tokens that a mask lets through. */
export function countAllowed(mask: Uint32Array): number {
  let count = 0;
  for (let word of mask) for (; word !== 0; word &= word - 1) count++;
  return count;
}

/** Those tokens of a list that a mask lets through, with their logits. */
export function allowedOnly(
  ids: Uint32Array,
  logits: Float32Array,
  mask: Uint32Array,
): { ids: Uint32Array; logits: Float32Array } {
  const kept = [...ids.keys()].filter((i) => allows(mask, ids[i]));
  return { ids: Uint32Array.from(kept, (i) => ids[i]), logits: Float32Array.from(kept, (i) => logits[i]) };
}

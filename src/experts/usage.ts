/** How often each expert was used, kept across sessions through idb-keyval: what to load first. */
import { createStore, get, set, type UseStore } from 'idb-keyval';

export interface UsageShape {
  readonly layers: number;
  readonly experts: number;
}

export class ExpertUsage {
  /** `[layers, experts]` */
  readonly #counts: Float32Array<ArrayBuffer>;

  constructor(
    readonly shape: UsageShape,
    counts?: Float32Array<ArrayBuffer>,
  ) {
    this.#counts = counts ?? new Float32Array(shape.layers * shape.experts);
  }

  count(layer: number, experts: readonly number[]): void {
    for (const expert of experts) this.#counts[layer * this.shape.experts + expert]++;
  }

  /** Each expert's part of a layer's uses, `[experts]`; equal parts where nothing was counted yet. */
  shares(layer: number): Float64Array {
    const counts = Float64Array.from(this.#layer(layer));
    const sum = counts.reduce((a, b) => a + b, 0);
    return counts.map((count) => (sum > 0 ? count / sum : 1 / counts.length));
  }

  /** Up to `count` experts of a layer, most used first; those of equal use by number. */
  mostUsed(layer: number, count: number): number[] {
    const counts = this.#layer(layer);
    return Array.from(counts.keys())
      .sort((a, b) => counts[b] - counts[a] || a - b)
      .slice(0, count);
  }

  /** For keeping: u32 layers, u32 experts, then f32 counts. */
  toBytes(): Uint8Array<ArrayBuffer> {
    const { layers, experts } = this.shape;
    const bytes = new Uint8Array(8 + this.#counts.byteLength);
    bytes.set(new Uint8Array(new Uint32Array([layers, experts]).buffer));
    bytes.set(new Uint8Array(this.#counts.buffer, this.#counts.byteOffset, this.#counts.byteLength), 8);
    return bytes;
  }

  /**
   * What `toBytes` gave, aged so that a habit of long ago cannot outweigh the next sessions.
   * @returns undefined for bytes of another shape or another kind
   */
  static fromBytes(bytes: Uint8Array, shape: UsageShape): ExpertUsage | undefined {
    if (bytes.byteLength !== 8 + shape.layers * shape.experts * 4) return undefined;
    const copy = bytes.slice().buffer;
    const [layers, experts] = new Uint32Array(copy, 0, 2);
    if (layers !== shape.layers || experts !== shape.experts) return undefined;
    const counts = new Float32Array(copy.slice(8));
    if (!counts.every((count) => Number.isFinite(count) && count >= 0)) return undefined;
    for (let layer = 0; layer < layers; layer++) {
      const row = counts.subarray(layer * experts, (layer + 1) * experts);
      const most = row.reduce((a, b) => Math.max(a, b), 0);
      if (most > MOST_KEPT) for (let i = 0; i < experts; i++) row[i] *= MOST_KEPT / most;
    }
    return new ExpertUsage(shape, counts);
  }

  #layer(layer: number): Float32Array {
    return this.#counts.subarray(layer * this.shape.experts, (layer + 1) * this.shape.experts);
  }
}

/** Count of a layer's most used expert beyond which the layer is scaled down when it is read again. */
const MOST_KEPT = 10_000;

const DATABASE = 'qwen-webgpu-usage';
let store: UseStore | undefined;

/** Kept usage of the model with this key (`usageKey`); fresh counters where there is none, or no IndexedDB. */
export async function loadUsage(key: string, shape: UsageShape): Promise<ExpertUsage> {
  if (typeof indexedDB === 'undefined') return new ExpertUsage(shape);
  try {
    store ??= createStore(DATABASE, 'usage');
    const bytes: unknown = await get(key, store);
    return (bytes instanceof Uint8Array && ExpertUsage.fromBytes(bytes, shape)) || new ExpertUsage(shape);
  } catch (error) {
    // A help for speed alone: where the browser refuses it, the model runs as at its first visit.
    console.warn('The counts of expert use could not be read:', error);
    return new ExpertUsage(shape);
  }
}

/** Resolves to whether the counts were kept. */
export async function saveUsage(key: string, usage: ExpertUsage): Promise<boolean> {
  if (typeof indexedDB === 'undefined') return false;
  try {
    store ??= createStore(DATABASE, 'usage');
    await set(key, usage.toBytes(), store);
    return true;
  } catch (error) {
    console.warn('The counts of expert use could not be kept:', error);
    return false;
  }
}

/** Names a model: its name and length, so that another quantisation of it, which may be routed alike, is another. */
export function usageKey({ name, byteLength }: { readonly name: string; readonly byteLength: number }): string {
  return `${name} ${byteLength}`;
}

import type { Gpu, GpuBuffer } from '../gpu/index.ts';
import { type KvCache, type KvType, kvHeadBytes, kvRowBytes } from '../kernels/attention.ts';
import { type DeltaState, deltaChannels } from '../kernels/delta-net.ts';
import type { ModelConfig } from './config.ts';

export type LayerState = ({ readonly kind: 'attention' } & KvLayer) | ({ readonly kind: 'deltaNet' } & DeltaLayer);

interface KvLayer extends KvCache {
  k: GpuBuffer;
  v: GpuBuffer;
}

interface DeltaLayer extends DeltaState {
  readonly conv: GpuBuffer;
  readonly recurrent: GpuBuffer;
}

/** Tokens that the cache has room for at first; it doubles as the conversation grows. */
const FIRST_CAPACITY = 1024;

export interface StateOptions {
  /** Most tokens there may be. */
  contextLength: number;
  kv: KvType;
}

/** What the model remembers of a sequence: KV caches of its attention layers, states of its DeltaNet layers. */
export class SequenceState {
  readonly layers: readonly LayerState[];
  /** Tokens read so far. */
  position = 0;
  #capacity: number;

  constructor(
    private readonly gpu: Gpu,
    private readonly config: ModelConfig,
    private readonly options: StateOptions,
  ) {
    this.#capacity = Math.min(FIRST_CAPACITY, options.contextLength);
    const { valueHeads, headDim } = config.deltaNet;
    this.layers = config.layers.map(
      (kind, i): LayerState =>
        kind === 'attention'
          ? { kind, ...this.#createKv(`layer ${i}`), capacity: this.#capacity, type: options.kv }
          : {
              kind,
              conv: gpu.createBuffer(`layer ${i} conv state`, 3 * deltaChannels(config.deltaNet) * 4),
              recurrent: gpu.createBuffer(`layer ${i} recurrent state`, valueHeads * headDim * headDim * 4),
            },
    );
  }

  /** Tokens the KV caches have room for. Programs recorded for one capacity do not fit another. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Makes room for this many tokens, keeping what is cached. @returns whether buffers were replaced */
  reserve(tokens: number): boolean {
    if (tokens <= this.#capacity) return false;
    const old = this.#capacity;
    while (this.#capacity < tokens) this.#capacity = Math.min(2 * this.#capacity, this.options.contextLength);
    const { attention: dims } = this.config;
    const rowBytes = kvRowBytes(dims, this.options.kv);
    const headBytes = (capacity: number) => kvHeadBytes(dims, this.options.kv, capacity);
    for (const [i, layer] of this.layers.entries()) {
      if (layer.kind !== 'attention') continue;
      const grown = this.#createKv(`layer ${i}`);
      const encoder = this.gpu.device.createCommandEncoder();
      for (const cache of ['k', 'v'] as const) {
        for (let head = 0; head < dims.kvHeads; head++) {
          encoder.copyBufferToBuffer(
            layer[cache].buffer,
            head * headBytes(old),
            grown[cache].buffer,
            head * headBytes(this.#capacity),
            Math.min(this.position, old) * rowBytes,
          );
        }
      }
      this.gpu.device.queue.submit([encoder.finish()]);
      layer.k.dispose();
      layer.v.dispose();
      Object.assign(layer, grown, { capacity: this.#capacity });
    }
    return true;
  }

  /** Forgets the sequence. */
  reset(): void {
    this.position = 0;
    const encoder = this.gpu.device.createCommandEncoder();
    for (const layer of this.layers) {
      if (layer.kind !== 'deltaNet') continue; // cached keys beyond the position are never read
      encoder.clearBuffer(layer.conv.buffer);
      encoder.clearBuffer(layer.recurrent.buffer);
    }
    this.gpu.device.queue.submit([encoder.finish()]);
  }

  /** Bytes of all buffers as they are. */
  get bytes(): number {
    return this.layers.reduce(
      (sum, layer) =>
        sum + (layer.kind === 'attention' ? layer.k.size + layer.v.size : layer.conv.size + layer.recurrent.size),
      0,
    );
  }

  /** Bytes that `save` writes: the part of the state that is not kept token by token. */
  get recurrentBytes(): number {
    return this.#recurrent().reduce((sum, { size }) => sum + size, 0);
  }

  /** Copies what the DeltaNet layers remember. */
  save(into: GpuBuffer): void {
    this.#copyRecurrent((encoder, part, offset) =>
      encoder.copyBufferToBuffer(part.buffer, 0, into.buffer, offset, part.size),
    );
  }

  /** Goes back to where a copy was saved; keys and values up to there must still be those of then. */
  restore(from: GpuBuffer, position: number): void {
    this.#copyRecurrent((encoder, part, offset) =>
      encoder.copyBufferToBuffer(from.buffer, offset, part.buffer, 0, part.size),
    );
    this.position = position;
  }

  dispose(): void {
    for (const layer of this.layers) {
      const buffers = layer.kind === 'attention' ? [layer.k, layer.v] : [layer.conv, layer.recurrent];
      for (const buffer of buffers) buffer.dispose();
    }
  }

  #recurrent(): GpuBuffer[] {
    return this.layers.flatMap((layer) => (layer.kind === 'deltaNet' ? [layer.conv, layer.recurrent] : []));
  }

  #copyRecurrent(copy: (encoder: GPUCommandEncoder, part: GpuBuffer, offset: number) => void): void {
    const encoder = this.gpu.device.createCommandEncoder();
    let offset = 0;
    for (const part of this.#recurrent()) {
      copy(encoder, part, offset);
      offset += part.size;
    }
    this.gpu.device.queue.submit([encoder.finish()]);
  }

  #createKv(label: string): { k: GpuBuffer; v: GpuBuffer } {
    const { attention: dims } = this.config;
    const bytes = dims.kvHeads * kvHeadBytes(dims, this.options.kv, this.#capacity);
    return { k: this.gpu.createBuffer(`${label} keys`, bytes), v: this.gpu.createBuffer(`${label} values`, bytes) };
  }
}

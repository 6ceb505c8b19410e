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
  /** Tokens that can be taken back, at the end of a pass or of a step that was submitted ahead. Default 0. */
  undo?: number;
  /** For an MTP block: rows of hidden states that may wait for it. Default: there is none. */
  mtpRows?: number;
}

/** What an MTP block remembers, and what it is still to read. */
export interface MtpState {
  readonly cache: LayerState & { readonly kind: 'attention' };
  /** `[mtpRows, hidden]` f32: the residual stream behind the last layer, of tokens from `read` on. */
  readonly waiting: GpuBuffer;
  /** Tokens whose hidden state it has read, each with the token behind it. Fewer than the model's. */
  read: number;
}

/** What the model remembers of a sequence: KV caches of its attention layers, states of its DeltaNet layers. */
export class SequenceState {
  readonly layers: readonly LayerState[];
  /** Of a model that drafts by its MTP block. */
  readonly mtp: MtpState | undefined;
  /** Tokens read so far. */
  position = 0;
  /** Where the recurrent state at the position is, of as many places as tokens can be taken back, and one. */
  place = 0;
  #capacity: number;

  constructor(
    private readonly gpu: Gpu,
    private readonly config: ModelConfig,
    private readonly options: StateOptions,
  ) {
    this.#capacity = Math.min(FIRST_CAPACITY, options.contextLength);
    const { valueHeads, headDim } = config.deltaNet;
    const states = this.#states;
    this.layers = config.layers.map(
      (kind, i): LayerState =>
        kind === 'attention'
          ? { kind, ...this.#createKv(`layer ${i}`), capacity: this.#capacity, type: options.kv }
          : {
              kind,
              conv: gpu.createBuffer(`layer ${i} conv state`, states * 3 * deltaChannels(config.deltaNet) * 4),
              recurrent: gpu.createBuffer(`layer ${i} recurrent state`, states * valueHeads * headDim * headDim * 4),
            },
    );
    const { mtpRows = 0 } = options;
    if (mtpRows === 0) return;
    this.mtp = {
      cache: { kind: 'attention', ...this.#createKv('MTP'), capacity: this.#capacity, type: options.kv },
      waiting: gpu.createBuffer('hidden states for MTP', mtpRows * this.#hiddenBytes),
      read: 0,
    };
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
    for (const [i, layer] of [...this.layers, ...(this.mtp ? [this.mtp.cache] : [])].entries()) {
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
    this.place = 0;
    if (this.mtp) this.mtp.read = 0;
    const encoder = this.gpu.device.createCommandEncoder();
    for (const layer of this.layers) {
      if (layer.kind !== 'deltaNet') continue; // cached keys beyond the position are never read
      encoder.clearBuffer(layer.conv.buffer); // all its states, of which the first is read next
      encoder.clearBuffer(layer.recurrent.buffer);
    }
    this.gpu.device.queue.submit([encoder.finish()]);
  }

  /** Bytes of all buffers as they are. */
  get bytes(): number {
    return this.#buffers().reduce((sum, { size }) => sum + size, 0);
  }

  /** Bytes that `save` writes: the part of the state that is not kept token by token. */
  get recurrentBytes(): number {
    return this.#recurrent().reduce((sum, { bytes }) => sum + bytes, 0) + (this.mtp ? this.#hiddenBytes : 0);
  }

  /** Copies what the DeltaNet layers remember, and the hidden state that an MTP block still needs with any next token. */
  save(into: GpuBuffer): void {
    const encoder = this.gpu.device.createCommandEncoder();
    let offset = 0;
    for (const { buffer, bytes } of this.#recurrent()) {
      encoder.copyBufferToBuffer(buffer.buffer, this.place * bytes, into.buffer, offset, bytes);
      offset += bytes;
    }
    if (this.mtp) {
      const row = this.position - 1 - this.mtp.read;
      const { buffer } = this.mtp.waiting;
      encoder.copyBufferToBuffer(buffer, row * this.#hiddenBytes, into.buffer, offset, this.#hiddenBytes);
    }
    this.gpu.device.queue.submit([encoder.finish()]);
  }

  /** Goes back to where a copy was saved; keys and values up to there must still be those of then. */
  restore(from: GpuBuffer, position: number): void {
    const encoder = this.gpu.device.createCommandEncoder();
    let offset = 0;
    for (const { buffer, bytes } of this.#recurrent()) {
      encoder.copyBufferToBuffer(from.buffer, offset, buffer.buffer, 0, bytes);
      offset += bytes;
    }
    // The token behind the last one may be another now. Where the block has not come so far, all it needs still waits.
    if (this.mtp && this.mtp.read >= position) {
      encoder.copyBufferToBuffer(from.buffer, offset, this.mtp.waiting.buffer, 0, this.#hiddenBytes);
      this.mtp.read = position - 1;
    }
    this.gpu.device.queue.submit([encoder.finish()]);
    this.position = position;
    this.place = 0;
  }

  dispose(): void {
    for (const buffer of this.#buffers()) buffer.dispose();
  }

  #buffers(): GpuBuffer[] {
    const ofLayers = this.layers.flatMap((layer) =>
      layer.kind === 'attention' ? [layer.k, layer.v] : [layer.conv, layer.recurrent],
    );
    return this.mtp ? [...ofLayers, this.mtp.cache.k, this.mtp.cache.v, this.mtp.waiting] : ofLayers;
  }

  /** The DeltaNet layers' buffers, and the bytes of one state. */
  #recurrent(): { buffer: GpuBuffer; bytes: number }[] {
    return this.layers.flatMap((layer) =>
      layer.kind === 'deltaNet'
        ? [layer.conv, layer.recurrent].map((buffer) => ({ buffer, bytes: buffer.size / this.#states }))
        : [],
    );
  }

  get #states(): number {
    return 1 + (this.options.undo ?? 0);
  }

  get #hiddenBytes(): number {
    return this.config.hidden * 4;
  }

  #createKv(label: string): { k: GpuBuffer; v: GpuBuffer } {
    const { attention: dims } = this.config;
    const bytes = dims.kvHeads * kvHeadBytes(dims, this.options.kv, this.#capacity);
    return { k: this.gpu.createBuffer(`${label} keys`, bytes), v: this.gpu.createBuffer(`${label} values`, bytes) };
  }
}

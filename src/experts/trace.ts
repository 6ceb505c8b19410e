import type { ExpertPolicy } from './policy.ts';

/**
 * What the routers chose, token after token: recorded from a running model, replayed by the simulation in bench/experts.
 *
 * File: `QXT1`, u32 layers, u32 experts, u32 chosen per token and layer, u32 tokens; then u16 `[tokens, layers, chosen]`,
 * little-endian. A layer that routed fewer experts fills up with 0xffff.
 */

export interface TraceShape {
  readonly layers: number;
  readonly experts: number;
  /** Experts chosen per token and layer. */
  readonly chosen: number;
}

export const NONE = 0xffff;
const MAGIC = 0x31545851; // QXT1
const HEADER_BYTES = 20;

export class ExpertTrace {
  constructor(
    readonly shape: TraceShape,
    /** `[tokens, layers, chosen]` */
    readonly choices: Uint16Array<ArrayBuffer>,
  ) {}

  get tokens(): number {
    return this.choices.length / (this.shape.layers * this.shape.chosen);
  }

  /** The experts of a layer for a token. */
  at(token: number, layer: number): number[] {
    const { layers, chosen } = this.shape;
    const start = (token * layers + layer) * chosen;
    const experts: number[] = [];
    for (let i = start; i < start + chosen; i++) if (this.choices[i] !== NONE) experts.push(this.choices[i]);
    return experts;
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    const { layers, experts, chosen } = this.shape;
    const bytes = new Uint8Array(HEADER_BYTES + this.choices.byteLength);
    bytes.set(new Uint8Array(new Uint32Array([MAGIC, layers, experts, chosen, this.tokens]).buffer));
    bytes.set(new Uint8Array(this.choices.buffer, this.choices.byteOffset, this.choices.byteLength), HEADER_BYTES);
    return bytes;
  }

  /** @throws RangeError for anything else than a trace */
  static fromBytes(bytes: Uint8Array): ExpertTrace {
    if (bytes.length < HEADER_BYTES) throw new RangeError('An expert trace has at least 20 bytes.');
    const copy = bytes.slice().buffer;
    const [magic, layers, experts, chosen, tokens] = new Uint32Array(copy, 0, 5);
    if (magic !== MAGIC) throw new RangeError('This is no expert trace: it does not begin with QXT1.');
    const length = tokens * layers * chosen;
    if (copy.byteLength !== HEADER_BYTES + length * 2) {
      throw new RangeError(`The trace announces ${tokens} tokens, but has ${copy.byteLength} bytes.`);
    }
    const choices = new Uint16Array(copy.slice(HEADER_BYTES));
    if (choices.some((expert) => expert !== NONE && expert >= experts)) {
      throw new RangeError(`The trace names an expert beyond its ${experts}.`);
    }
    return new ExpertTrace({ layers, experts, chosen }, choices);
  }
}

/** Collects a trace while a model runs. Layers may come in any order; a token is begun by its first layer. */
export class TraceRecorder {
  #choices: Uint16Array<ArrayBuffer>;
  #tokens = 0;
  #last: number | undefined;

  constructor(readonly shape: TraceShape) {
    this.#choices = new Uint16Array(64 * this.#rowLength).fill(NONE);
  }

  get tokens(): number {
    return this.#tokens;
  }

  /** @param token any number that differs from one token to the next: its position, for instance */
  record(layer: number, experts: readonly number[], token: number): void {
    const { layers, chosen } = this.shape;
    if (layer < 0 || layer >= layers || experts.length > chosen) {
      throw new RangeError(`Layer ${layer} with ${experts.length} experts, in a trace of ${layers} × ${chosen}.`);
    }
    if (token !== this.#last) {
      this.#last = token;
      this.#tokens++;
      this.#grow();
    }
    this.#choices.set(experts, (this.#tokens - 1) * this.#rowLength + layer * chosen);
  }

  finish(): ExpertTrace {
    return new ExpertTrace(this.shape, this.#choices.slice(0, this.#tokens * this.#rowLength));
  }

  get #rowLength(): number {
    return this.shape.layers * this.shape.chosen;
  }

  #grow(): void {
    if (this.#tokens * this.#rowLength <= this.#choices.length) return;
    const larger = new Uint16Array(this.#choices.length * 2).fill(NONE);
    larger.set(this.#choices);
    this.#choices = larger;
  }
}

/**
 * A policy that decides as `policy` does, and writes down the choices of single tokens. The union of a batch's choices,
 * which names more experts than a token has, is left out.
 */
export function recording(policy: ExpertPolicy, recorder: TraceRecorder): ExpertPolicy {
  return {
    touch: (layer, experts, token) => {
      if (experts.length <= recorder.shape.chosen) recorder.record(layer, experts, token);
      policy.touch(layer, experts, token);
    },
    victim: (layer, pinned) => policy.victim(layer, pinned),
    admitted: (layer, expert) => policy.admitted(layer, expert),
    initial: (layer, slots) => policy.initial(layer, slots),
  };
}

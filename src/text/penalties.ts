/**
 * What earlier tokens and the request's bias do to the next logits:
 *
 *   penalised = (raw > 0 ? raw / scale : raw · scale) + shift
 *   scale = repetition penalty           for tokens in prompt or answer, else 1
 *   shift = bias − (presence + frequency · count)    count and presence of tokens in the answer alone
 *
 * as OpenAI (presence, frequency, bias) and vLLM (repetition) define them. Only touched tokens are listed, so the GPU
 * gets a short list and never a vector of the vocabulary's size.
 */
import type { SamplingSettings } from './types.ts';

/** Parallel arrays, one entry a touched token, in no particular order. */
export interface PenaltyList {
  readonly ids: Uint32Array;
  readonly scale: Float32Array;
  readonly shift: Float32Array;
}

export class PenaltyState {
  readonly #settings: SamplingSettings;
  readonly #counts = new Map<number, number>();
  readonly #slots = new Map<number, number>();
  #ids = new Uint32Array(16);
  #scale = new Float32Array(16);
  #shift = new Float32Array(16);

  constructor(settings: SamplingSettings, promptIds: Iterable<number>) {
    this.#settings = settings;
    // The slot first: taking a new one may replace the arrays.
    for (const [id, bias] of settings.logitBias) {
      const slot = this.#slot(id);
      this.#shift[slot] = bias;
    }
    if (settings.repetitionPenalty !== 1) {
      for (const id of promptIds) {
        const slot = this.#slot(id);
        this.#scale[slot] = settings.repetitionPenalty;
      }
    }
  }

  /** Tokens of the answer change nothing: the list is that of the beginning throughout. */
  get isFixed(): boolean {
    const { presencePenalty, frequencyPenalty, repetitionPenalty } = this.#settings;
    return presencePenalty === 0 && frequencyPenalty === 0 && repetitionPenalty === 1;
  }

  /** Counts a token of the answer. */
  accept(id: number): void {
    if (this.isFixed) return;
    const { presencePenalty, frequencyPenalty, repetitionPenalty } = this.#settings;
    const count = (this.#counts.get(id) ?? 0) + 1;
    this.#counts.set(id, count);
    const slot = this.#slot(id);
    this.#scale[slot] = repetitionPenalty;
    this.#shift[slot] = (this.#settings.logitBias.get(id) ?? 0) - (presencePenalty + frequencyPenalty * count);
  }

  /** The touched tokens; views that are valid until the next `accept`. */
  list(): PenaltyList {
    const size = this.#slots.size;
    return {
      ids: this.#ids.subarray(0, size),
      scale: this.#scale.subarray(0, size),
      shift: this.#shift.subarray(0, size),
    };
  }

  apply(id: number, raw: number): number {
    const slot = this.#slots.get(id);
    if (slot === undefined) return raw;
    const scale = this.#scale[slot];
    return (raw > 0 ? raw / scale : raw * scale) + this.#shift[slot];
  }

  /** The raw logit behind a penalised one, for log probabilities under the model's own distribution. */
  invert(id: number, penalised: number): number {
    const slot = this.#slots.get(id);
    if (slot === undefined) return penalised;
    const scaled = penalised - this.#shift[slot];
    return scaled > 0 ? scaled * this.#scale[slot] : scaled / this.#scale[slot];
  }

  #slot(id: number): number {
    const known = this.#slots.get(id);
    if (known !== undefined) return known;
    const slot = this.#slots.size;
    if (slot === this.#ids.length) {
      this.#ids = grown(Uint32Array, this.#ids);
      this.#scale = grown(Float32Array, this.#scale);
      this.#shift = grown(Float32Array, this.#shift);
    }
    this.#slots.set(id, slot);
    this.#ids[slot] = id;
    this.#scale[slot] = 1;
    this.#shift[slot] = 0;
    return slot;
  }
}

function grown<A extends Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(
  Kind: new (length: number) => A,
  array: A,
): A {
  const larger = new Kind(array.length * 2);
  larger.set(array);
  return larger;
}

/** How the next token is chosen. Every field has a value here; defaults are made in `text/sampling.ts`. */
export interface SamplingSettings {
  /** 0 = greedy. */
  temperature: number;
  topP: number;
  /** 0 = no limit. */
  topK: number;
  minP: number;
  presencePenalty: number;
  frequencyPenalty: number;
  /** 1 = none. Divides positive, multiplies negative logits of tokens already in prompt or answer. */
  repetitionPenalty: number;
  /** Added to the logits of these token ids. */
  logitBias: ReadonlyMap<number, number>;
  /** Same seed, prompt, settings and device: same answer. Undefined: random. */
  seed?: number;
}

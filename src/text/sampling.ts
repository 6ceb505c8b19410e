/** Sampling settings from a request: the model card's presets where the request says nothing, each field checked. */

import { QwenError } from '../errors.ts';
import type { GgufMetadata } from '../weights/types.ts';
import type { SamplingSettings } from './types.ts';

/** The fields of a request that concern sampling, by OpenAI's and vLLM's names. `null` means: the default. */
export interface SamplingRequest {
  temperature?: number | null;
  top_p?: number | null;
  top_k?: number | null;
  min_p?: number | null;
  presence_penalty?: number | null;
  frequency_penalty?: number | null;
  repetition_penalty?: number | null;
  logit_bias?: Readonly<Record<string, number>> | null;
  seed?: number | null;
}

/** Chat with reasoning, chat without, and completion of a bare prompt. */
export type SamplingMode = 'thinking' | 'standard' | 'completion';

type Preset = Omit<SamplingSettings, 'logitBias' | 'seed'>;

const NEUTRAL: Preset = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
};

/** Source: the Qwen 3.5 model cards; completions as OpenAI's. */
export const SAMPLING_PRESETS: Readonly<Record<SamplingMode, Preset>> = {
  thinking: { ...NEUTRAL, temperature: 0.6, topP: 0.95, topK: 20 },
  standard: { ...NEUTRAL, temperature: 0.7, topP: 0.8, topK: 20, presencePenalty: 1.5 },
  completion: NEUTRAL,
};

interface Range {
  readonly field: keyof Preset;
  readonly from: number;
  readonly to: number;
  readonly integer?: true;
  /** `from` itself is not allowed. */
  readonly above?: true;
}

/** OpenAI's ranges where it has the field, else vLLM's. */
const RANGES = {
  temperature: { field: 'temperature', from: 0, to: 2 },
  top_p: { field: 'topP', from: 0, to: 1 },
  top_k: { field: 'topK', from: -1, to: 2 ** 31 - 1, integer: true },
  min_p: { field: 'minP', from: 0, to: 1 },
  presence_penalty: { field: 'presencePenalty', from: -2, to: 2 },
  frequency_penalty: { field: 'frequencyPenalty', from: -2, to: 2 },
  repetition_penalty: { field: 'repetitionPenalty', from: 0, to: 10, above: true },
} as const satisfies Partial<Record<keyof SamplingRequest, Range>>;

/**
 * Whether a file asks for greedy answers: `general.sampling.temp`, llama.cpp's key, is 0. Other temperatures are not
 * followed: published files carry their card's values for thinking alone, which the presets refine by mode.
 */
export function isGreedy(metadata: GgufMetadata): boolean {
  return metadata.get('general.sampling.temp') === 0;
}

const BIAS = { from: -100, to: 100 };

/** For a model made to be answered greedily: no penalty may displace the token it is most sure of. */
const GREEDY: Preset = { ...NEUTRAL, temperature: 0 };

/**
 * @param greedy the model is made to be answered greedily, whatever the mode; see `isGreedy`
 * @throws QwenError `invalid-request` that names the field
 */
export function samplingSettings(
  request: SamplingRequest,
  mode: SamplingMode,
  vocabularySize: number,
  greedy = false,
): SamplingSettings {
  const settings: Preset = { ...(greedy ? GREEDY : SAMPLING_PRESETS[mode]) };
  for (const [param, range] of Object.entries(RANGES) as [keyof typeof RANGES, Range][]) {
    const value = request[param];
    if (value === undefined || value === null) continue;
    settings[range.field] = inRange(param, value, range);
  }
  if (settings.topK < 0) settings.topK = 0; // vLLM's -1: no limit
  return {
    ...settings,
    logitBias: logitBias(request.logit_bias, vocabularySize),
    seed: seed(request.seed),
  };
}

function inRange(param: string, value: number, { from, to, integer, above }: Range): number {
  const right =
    typeof value === 'number' &&
    value >= from &&
    value <= to &&
    !(above && value === from) &&
    (!integer || Number.isInteger(value));
  if (right) return value;
  const kind = integer ? 'an integer' : 'a number';
  const bounds = above ? `above ${from}, at most ${to}` : `from ${from} to ${to}`;
  throw new QwenError('invalid-request', `${param} must be ${kind} ${bounds}, not ${shown(value)}.`, { param });
}

function logitBias(value: SamplingRequest['logit_bias'], vocabularySize: number): Map<number, number> {
  const bias = new Map<number, number>();
  if (value === undefined || value === null) return bias;
  const param = 'logit_bias';
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new QwenError('invalid-request', `${param} must be an object of token ids to numbers.`, { param });
  }
  for (const [key, amount] of Object.entries(value)) {
    const id = Number(key);
    if (!/^\d+$/.test(key) || id >= vocabularySize) {
      throw new QwenError(
        'invalid-request',
        `${param}: ${shown(key)} is no token id of this model (0 to ${vocabularySize - 1}).`,
        { param },
      );
    }
    bias.set(id, inRange(`${param}.${key}`, amount, { field: 'temperature', ...BIAS }));
  }
  return bias;
}

function seed(value: number | null | undefined): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (Number.isSafeInteger(value)) return value;
  throw new QwenError('invalid-request', `seed must be an integer below 2^53, not ${shown(value)}.`, { param: 'seed' });
}

function shown(value: unknown): string {
  return typeof value === 'number' ? String(value) : (JSON.stringify(value)?.slice(0, 80) ?? 'undefined');
}

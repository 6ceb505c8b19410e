import { describe, expect, it } from 'vitest';
import { isGreedy, type SamplingMode, type SamplingRequest, samplingSettings } from './sampling.ts';

describe('samplingSettings', () => {
  it.each<[SamplingMode, object]>([
    ['thinking', { temperature: 0.6, topP: 0.95, topK: 20, minP: 0, presencePenalty: 0, frequencyPenalty: 0 }],
    ['standard', { temperature: 0.7, topP: 0.8, topK: 20, minP: 0, presencePenalty: 1.5, frequencyPenalty: 0 }],
    ['completion', { temperature: 1, topP: 1, topK: 0, minP: 0, presencePenalty: 0, repetitionPenalty: 1 }],
  ])('has the preset of %s where the request says nothing', (mode, preset) => {
    expect(samplingSettings({}, mode, 100)).toMatchObject(preset);
    expect(samplingSettings({ temperature: null, top_p: null, seed: null, logit_bias: null }, mode, 100)).toMatchObject(
      preset,
    );
  });

  it('takes every field of the request', () => {
    const request: SamplingRequest = {
      temperature: 0,
      top_p: 0.5,
      top_k: 5,
      min_p: 0.1,
      presence_penalty: -2,
      frequency_penalty: 2,
      repetition_penalty: 1.1,
      logit_bias: { 7: -100, 99: 5 },
      seed: -3,
    };
    expect(samplingSettings(request, 'thinking', 100)).toEqual({
      temperature: 0,
      topP: 0.5,
      topK: 5,
      minP: 0.1,
      presencePenalty: -2,
      frequencyPenalty: 2,
      repetitionPenalty: 1.1,
      logitBias: new Map([
        [7, -100],
        [99, 5],
      ]),
      seed: -3,
    });
  });

  it('answers greedily where the file asks for it, and still as the request says', () => {
    const file = (temp?: number) => new Map(temp === undefined ? [] : [['general.sampling.temp', temp]]);
    expect([isGreedy(file(0)), isGreedy(file(0.6)), isGreedy(file())]).toEqual([true, false, false]);
    for (const mode of ['thinking', 'standard', 'completion'] as const) {
      expect(samplingSettings({}, mode, 100, true)).toMatchObject({ temperature: 0, presencePenalty: 0, topK: 0 });
    }
    expect(samplingSettings({ temperature: 0.5 }, 'standard', 100, true)).toMatchObject({
      temperature: 0.5,
      presencePenalty: 0,
    });
  });

  it("reads vLLM's top_k -1 as no limit", () => {
    expect(samplingSettings({ top_k: -1 }, 'thinking', 100).topK).toBe(0);
  });

  it.each<[string, unknown]>([
    ['temperature', -0.1],
    ['temperature', 2.1],
    ['temperature', '1'],
    ['temperature', NaN],
    ['top_p', 1.1],
    ['top_p', -1],
    ['top_k', 1.5],
    ['top_k', -2],
    ['min_p', 2],
    ['presence_penalty', 3],
    ['frequency_penalty', -3],
    ['repetition_penalty', 0],
    ['repetition_penalty', Infinity],
    ['seed', 1.5],
    ['seed', 'x'],
    ['logit_bias', [1]],
    ['logit_bias', { hello: 1 }],
    ['logit_bias', { 100: 1 }],
    ['logit_bias', { '-1': 1 }],
    ['logit_bias.5', { 5: 101 }],
  ])('names %s when it is %j', (param, value) => {
    const [field] = param.split('.');
    expect(() => samplingSettings({ [field]: value } as SamplingRequest, 'standard', 100)).toThrowError(
      expect.objectContaining({ code: 'invalid-request', param, message: expect.stringContaining(param) }),
    );
  });
});

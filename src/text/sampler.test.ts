import { describe, expect, it } from 'vitest';
import { PenaltyState } from './penalties.ts';
import { Random } from './random.ts';
import { type Candidates, type Choice, Sampler } from './sampler.ts';
import type { SamplingSettings } from './types.ts';

const NEUTRAL: SamplingSettings = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: new Map(),
  seed: 1,
};

const logSumExp = (logits: ArrayLike<number>) => {
  const max = Math.max(...Array.from(logits));
  return max + Math.log(Array.from(logits).reduce((sum, logit) => sum + Math.exp(logit - max), 0));
};

/** The `count` largest of `logits`, as the GPU would hand them over, in a scrambled order. */
function candidates(logits: readonly number[], count = logits.length): Candidates {
  const f32 = Float32Array.from(logits);
  const sorted = [...f32.keys()].sort((a, b) => f32[b] - f32[a] || a - b);
  const ids = sorted.slice(0, count).sort((a, b) => ((a * 7919) % 101) - ((b * 7919) % 101));
  return {
    ids: Uint32Array.from(ids),
    logits: Float32Array.from(ids, (id) => f32[id]),
    logSumExp: logSumExp(f32),
    argmax: sorted[0],
    vocabularySize: logits.length,
  };
}

/** The definition, in float64 and in the plainest words: probabilities after every cut. */
function distribution(logits: readonly number[], settings: SamplingSettings): Float64Array {
  const f32 = Float32Array.from(logits);
  const softmax = (kept: number[]) => {
    const scaled = kept.map((id) => f32[id] / settings.temperature);
    const total = logSumExp(scaled);
    return scaled.map((value) => Math.exp(value - total));
  };
  let kept = [...f32.keys()].sort((a, b) => f32[b] - f32[a] || a - b);
  const all = softmax(kept);
  kept = kept.filter((_, i) => all[i] >= settings.minP * all[0]);
  if (settings.topK > 0) kept = kept.slice(0, settings.topK);
  let mass = 0;
  const probabilities = softmax(kept);
  kept = kept.filter((_, i) => {
    const before = mass;
    mass += probabilities[i];
    return i === 0 || before < settings.topP;
  });
  const result = new Float64Array(logits.length);
  softmax(kept).forEach((p, i) => {
    result[kept[i]] = p;
  });
  return result;
}

/** Standard normal numbers times three, as a model's logits are. */
function randomLogits(count: number, seed: number): number[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
    return 3 * radius * Math.cos(2 * Math.PI * random.next());
  });
}

const idOf = (choice: Choice) => (choice === 'need-all' ? choice : choice.id);

describe('Sampler', () => {
  it.each<[string, Partial<SamplingSettings>]>([
    ['nothing', {}],
    ['temperature', { temperature: 0.6 }],
    ['a high temperature', { temperature: 2 }],
    ['top-k', { topK: 3 }],
    ['top-p', { topP: 0.8 }],
    ['min-p', { minP: 0.1 }],
    ['thinking', { temperature: 0.6, topP: 0.95, topK: 20 }],
    ['all cuts', { temperature: 1.3, topP: 0.7, topK: 6, minP: 0.05 }],
  ])('draws by the float64 definition, with %s', (_, partial) => {
    const settings = { ...NEUTRAL, ...partial };
    const logits = randomLogits(12, 5).map((logit) => logit / 2);
    const expected = distribution(logits, settings);
    const sampler = new Sampler(settings);
    const draws = 20_000;
    const counts = new Float64Array(logits.length);
    for (let i = 0; i < draws; i++) counts[idOf(sampler.sample(candidates(logits))) as number]++;
    let chiSquare = 0;
    expected.forEach((p, id) => {
      if (p === 0) expect(counts[id]).toBe(0);
      else chiSquare += (counts[id] - draws * p) ** 2 / (draws * p);
    });
    // 99.9th percentile for 11 degrees of freedom, the most there are; the seed is fixed.
    expect(chiSquare).toBeLessThan(31.3);
  });

  it('cuts exactly where the definition cuts, ties and all', () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = new Random(seed);
      const logits = randomLogits(40, seed + 100).map((logit) => (seed % 3 === 0 ? Math.round(logit) : logit));
      const settings: SamplingSettings = {
        ...NEUTRAL,
        temperature: 0.4 + random.next() * 1.2,
        topP: 0.3 + random.next() * 0.69,
        topK: Math.floor(random.next() * 12),
        minP: random.next() < 0.5 ? 0 : random.next() * 0.2,
        seed,
      };
      const allowed = distribution(logits, settings);
      const sampler = new Sampler(settings);
      const seen = new Set<number>();
      for (let i = 0; i < 600; i++) seen.add(idOf(sampler.sample(candidates(logits))) as number);
      for (const id of seen) expect(allowed[id], `seed ${seed}`).toBeGreaterThan(0);
      allowed.forEach((p, id) => {
        if (p > 0.03) expect(seen, `seed ${seed}`).toContain(id); // missed with probability below 0.97^600 = 1e-8
      });
    }
  });

  it('chooses the same tokens from few candidates as from all, asking for all where few do not suffice', () => {
    const table: [Partial<SamplingSettings>, 'never' | 'sometimes' | 'always'][] = [
      [{ topK: 20, topP: 0.95, temperature: 0.6 }, 'never'],
      [{ topK: 64 }, 'never'],
      [{ minP: 0.2 }, 'never'],
      [{ topP: 0.2 }, 'never'],
      [{}, 'sometimes'],
      [{ topK: 70 }, 'sometimes'],
      [{ topP: 0.9999 }, 'always'],
      [{ temperature: 1.5, topP: 0.99 }, 'always'],
    ];
    for (const [partial, asks] of table) {
      const settings = { ...NEUTRAL, ...partial, seed: 11 };
      const few = new Sampler(settings);
      const all = new Sampler(settings);
      let asked = 0;
      for (let step = 0; step < 200; step++) {
        const logits = randomLogits(400, 1000 + step);
        let choice = few.sample(candidates(logits, 64));
        if (choice === 'need-all') {
          asked++;
          choice = few.sample(candidates(logits));
        }
        expect(choice).toEqual(all.sample(candidates(logits)));
      }
      const label = JSON.stringify(partial);
      if (asks === 'never') expect(asked, label).toBe(0);
      else if (asks === 'always') expect(asked, label).toBe(200);
      else expect(asked > 0 && asked < 200, `${label}: ${asked}`).toBe(true);
    }
  });

  it('does not trust the raw sum when penalties changed the logits', () => {
    // By the raw sum nothing lies outside. With a bias, three tokens may weigh as much as the one candidate.
    const few = { ...candidates([0, 0, 0, 0], 1), logSumExp: 0 };
    expect(new Sampler({ ...NEUTRAL, topP: 0.5 }).sample(few)).toEqual({ id: 0 });
    expect(new Sampler({ ...NEUTRAL, topP: 0.5, logitBias: new Map([[0, -20]]) }).sample(few)).toBe('need-all');
  });

  it('chooses from what a mask leaves as if there were nothing else', () => {
    for (const partial of [{}, { topP: 0.6 }, { topK: 70 }, { minP: 0.1 }, { temperature: 1.4, topP: 0.9 }]) {
      const settings = { ...NEUTRAL, ...partial, seed: 3 };
      const [few, all] = [new Sampler(settings), new Sampler(settings)];
      for (let step = 0; step < 60; step++) {
        const logits = randomLogits(400, 500 + step);
        const allowed = logits.filter((_, id) => id % (1 + (step % 5)) === 0);
        // By the sum over all tokens, which is what comes from the GPU, less would lie inside than does.
        const masked = (count?: number) => ({
          ...candidates(allowed, count),
          logSumExp: logSumExp(Float32Array.from(logits)),
          masked: true,
        });
        let choice = few.sample(masked(64));
        if (choice === 'need-all') choice = few.sample(masked());
        expect(choice).toEqual(all.sample(candidates(allowed)));
      }
    }
  });

  it('is greedy at temperature 0, without a look at the candidates', () => {
    const sampler = new Sampler({ ...NEUTRAL, temperature: 0, topK: 0 });
    expect(sampler.sample({ ...candidates([1, 2, 3], 1), argmax: 2 })).toEqual({ id: 2 });
  });

  it('sorts by falling logit and then rising id, whatever the signs', () => {
    const logits = [-0, 0, -1, 3, -Infinity, 3, -1e30, 1e-40, 2];
    const sampler = new Sampler({ ...NEUTRAL, topK: 1 });
    expect(sampler.sample(candidates(logits))).toEqual({ id: 3 });
    const negative = [-3, -1, -2, -1];
    expect(sampler.sample(candidates(negative))).toEqual({ id: 1 });
  });

  it('repeats itself with a seed and differs without', () => {
    const logits = randomLogits(1000, 3).map((logit) => logit / 5);
    const draw = (seed?: number) => {
      const sampler = new Sampler({ ...NEUTRAL, seed });
      return Array.from({ length: 20 }, () => idOf(sampler.sample(candidates(logits))));
    };
    expect(draw(42)).toEqual(draw(42));
    expect(draw(42)).not.toEqual(draw(43));
    expect(draw()).not.toEqual(draw());
  });

  it.each([[[NaN, NaN]], [[1, NaN, 2]], [[Infinity, 1]], [[-Infinity, -Infinity]]])(
    'says so when the logits are %j',
    (logits) => {
      expect(() => new Sampler(NEUTRAL).sample(candidates(logits))).toThrowError(/not finite/);
    },
  );
});

describe('Random', () => {
  it('is uniform in [0, 1)', () => {
    const random = new Random(2 ** 40 + 17);
    const bins = new Float64Array(20);
    for (let i = 0; i < 100_000; i++) bins[Math.floor(random.next() * 20)]++;
    const chiSquare = bins.reduce((sum, count) => sum + (count - 5000) ** 2 / 5000, 0);
    expect(chiSquare).toBeLessThan(43.8); // 99.9th percentile, 19 degrees of freedom
  });

  it('differs by every part of the seed', () => {
    const seeds = [0, 1, -1, 2 ** 32, 2 ** 32 + 1, 2 ** 33, Number.MAX_SAFE_INTEGER];
    expect(new Set(seeds.map((seed) => new Random(seed).next())).size).toBe(seeds.length);
  });
});

describe('PenaltyState', () => {
  const bias = new Map([
    [3, 2.5],
    [9, -100],
  ]);
  const settings = {
    ...NEUTRAL,
    presencePenalty: 1.5,
    frequencyPenalty: 0.25,
    repetitionPenalty: 1.25,
    logitBias: bias,
  };

  /** The definition, token by token. */
  function expected(id: number, raw: number, prompt: number[], answer: number[]): number {
    const seen = prompt.includes(id) || answer.includes(id);
    const scaled = seen ? (raw > 0 ? raw / 1.25 : raw * 1.25) : raw;
    const count = answer.filter((other) => other === id).length;
    return scaled + (bias.get(id) ?? 0) - (count > 0 ? 1.5 : 0) - 0.25 * count;
  }

  it('lists scale and shift of every touched token', () => {
    const prompt = [1, 2, 2, 3, ...Array.from({ length: 40 }, (_, i) => 100 + i)];
    const answer = [2, 5, 5, 9, 3, 5];
    const state = new PenaltyState(settings, prompt);
    for (const id of answer) state.accept(id);
    const { ids, scale, shift } = state.list();
    expect(new Set(ids)).toEqual(new Set([...prompt, ...answer]));
    expect(ids).toHaveLength(new Set(ids).size);
    for (const raw of [-3, 0, 2]) {
      ids.forEach((id, i) => {
        const penalised = (raw > 0 ? raw / scale[i] : raw * scale[i]) + shift[i];
        expect(penalised).toBeCloseTo(expected(id, raw, prompt, answer), 5);
        expect(state.apply(id, raw)).toBeCloseTo(penalised, 5);
        expect(state.invert(id, penalised)).toBeCloseTo(raw, 4);
      });
    }
    expect(state.apply(77, 1.5)).toBe(1.5);
    expect(state.invert(77, 1.5)).toBe(1.5);
  });

  it.each<[string, Partial<SamplingSettings>, number[]]>([
    ['nothing', {}, []],
    ['presence: the answer alone', { presencePenalty: 1 }, [5]],
    ['frequency: the answer alone', { frequencyPenalty: 1 }, [5]],
    ['repetition: prompt and answer', { repetitionPenalty: 1.1 }, [1, 2, 5]],
    ['bias', { logitBias: new Map([[7, 1]]) }, [7]],
  ])('touches no more than needed with %s', (_, partial, ids) => {
    const state = new PenaltyState({ ...NEUTRAL, ...partial }, [1, 2]);
    state.accept(5);
    expect([...state.list().ids].sort()).toEqual(ids);
  });
});

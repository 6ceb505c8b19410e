/** Router traces that no model made: skewed, drifting, sticky as asked. */
import { ExpertTrace, type TraceShape } from '../../src/experts/trace.ts';
import { randomSource } from './random.ts';

export interface TraceHabits {
  tokens: number;
  seed: number;
  /** Exponent of Zipf's law over a layer's experts; each layer has its own order. 0: all alike. */
  skew: number;
  /** Part of the choice that follows the topic, which favours other experts. Default 0: no topics. */
  topical?: number;
  /** Mean length of a topic, in tokens. Default 200. */
  topicTokens?: number;
  topics?: number;
  /** How much likelier an expert is that the token before used: a factor on its odds. Default 1. */
  sticky?: number;
}

/** Chooses by Gumbel noise on log probabilities: sampling without replacement, like the top k of a noisy router. */
export function syntheticTrace(shape: TraceShape, habits: TraceHabits): ExpertTrace {
  const { layers, experts, chosen } = shape;
  const { tokens, seed, skew, topical = 0, topicTokens = 200, topics = 16, sticky = 1 } = habits;
  const random = randomSource(seed);
  const base = Array.from({ length: layers }, () => zipf(experts, skew, random));
  const byTopic = Array.from({ length: topical > 0 ? topics : 0 }, () =>
    Array.from({ length: layers }, () => zipf(experts, skew, random)),
  );
  const choices = new Uint16Array(tokens * layers * chosen);
  const previous: number[][] = Array.from({ length: layers }, () => []);
  const keys = new Float64Array(experts);
  let topic = 0;
  let logs: Float64Array[] = [];
  for (let token = 0; token < tokens; token++) {
    if (token === 0 || random() < 1 / topicTokens) {
      topic = Math.floor(random() * topics);
      logs = base.map((shares, layer) =>
        shares.map((share, i) =>
          Math.log(topical > 0 ? (1 - topical) * share + topical * byTopic[topic][layer][i] : share),
        ),
      );
    }
    for (let layer = 0; layer < layers; layer++) {
      for (let i = 0; i < experts; i++) keys[i] = logs[layer][i] - Math.log(-Math.log(random() + 1e-300) + 1e-300);
      for (const expert of previous[layer]) keys[expert] += Math.log(sticky);
      const taken = largest(keys, chosen);
      choices.set(taken, (token * layers + layer) * chosen);
      previous[layer] = taken;
    }
  }
  return new ExpertTrace(shape, choices);
}

function zipf(count: number, exponent: number, random: () => number): Float64Array {
  const shares = Float64Array.from({ length: count }, (_, rank) => (rank + 1) ** -exponent);
  const sum = shares.reduce((a, b) => a + b, 0);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [shares[i], shares[j]] = [shares[j], shares[i]];
  }
  return shares.map((share) => share / sum);
}

/** Indices of the `count` largest keys. */
function largest(keys: Float64Array, count: number): number[] {
  const best: number[] = [];
  for (let i = 0; i < keys.length; i++) {
    if (best.length === count && keys[i] <= keys[best[count - 1]]) continue;
    let at = best.length;
    while (at > 0 && keys[best[at - 1]] < keys[i]) at--;
    best.splice(at, 0, i);
    if (best.length > count) best.pop();
  }
  return best;
}

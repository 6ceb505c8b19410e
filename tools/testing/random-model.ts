/** A model without weights: logits are drawn, and chosen from as from those of a GPU. */
import type { GeneratedToken, GenerateOptions } from '../../src/engine/types.ts';
import {
  allowedOnly,
  type Candidates,
  countAllowed,
  PenaltyState,
  Random,
  Sampler,
  type Tokenizer,
} from '../../src/text/index.ts';
import { allows } from '../../src/text/token-mask.ts';

/** As many as the kernel finds. */
const FOUND = 64;

/** As `mask_logits.wgsl`. */
const LOWEST = Math.fround(-3.4e38);

/**
 * Tokens as `TextEngine` chooses them: penalties, then the mask, then the most likely ones, then the sampler.
 * @param patience tokens after which what closes a value grows likelier with every token, so that answers end
 */
export async function* randomTokens(
  tokenizer: Tokenizer,
  { maxTokens, sampling, stopIds, mask }: GenerateOptions,
  promptIds: readonly number[],
  seed: number,
  patience: number,
): AsyncGenerator<GeneratedToken> {
  const random = new Random(seed);
  const sampler = new Sampler(sampling);
  const penalties = new PenaltyState(sampling, promptIds);
  const size = tokenizer.vocabularySize;
  const closing = new Set([
    ...stopIds,
    ...['"', '}', ']', '"}', '"]', ':', '0', '.', 'a', '@', '-', 'n', 'u', 'l', 'false', '</think>'].map(only),
  ]);

  function only(text: string): number | undefined {
    const ids = tokenizer.encode(text, { special: true });
    return ids.length === 1 ? ids[0] : undefined;
  }

  for (let n = 0; n < maxTokens; n++) {
    const urge = Math.max(0, n - patience) / 4;
    const raw = new Float32Array(size);
    for (let id = 0; id < size; id++) raw[id] = spread(random) + (closing.has(id) ? urge : 0);
    const most = raw.reduce((a, b) => Math.max(a, b));
    const logSumExp = most + Math.log(raw.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
    const allowed = await mask?.next();
    const logits = raw.map((logit, id) => (allowed && !allows(allowed, id) ? LOWEST : penalties.apply(id, logit)));
    const candidates = (count: number): Candidates => {
      const least = logits.slice().sort()[size - Math.min(count, size)];
      const ids = Uint32Array.from(logits.keys()).filter((id) => logits[id] >= least);
      const found = { ids, logits: Float32Array.from(ids, (id) => logits[id]) };
      const kept = allowed ? allowedOnly(found.ids, found.logits, allowed) : found;
      const vocabularySize = allowed ? countAllowed(allowed) : size;
      const best = kept.logits.indexOf(kept.logits.reduce((a, b) => Math.max(a, b)));
      return { ...kept, logSumExp, argmax: kept.ids[best], vocabularySize, masked: allowed !== undefined };
    };
    let choice = sampler.sample(candidates(FOUND));
    if (choice === 'need-all') choice = sampler.sample(candidates(size));
    if (choice === 'need-all') throw new Error('the sampler cannot choose from all logits');
    penalties.accept(choice.id);
    mask?.accept(choice.id);
    yield choice;
    if (stopIds.has(choice.id)) return;
  }
}

/** Much like a normal distribution's, of deviation 3. */
function spread(random: Random): number {
  return 6 * (random.next() + random.next() + random.next() - 1.5);
}

/**
 * Decoding with drafts against decoding without, by how many drafts are right. A scripted drafter knows the answer and is
 * wrong as often as asked; the model's own MTP block, of random weights, is nearly always wrong, and shows what drafting with
 * it costs a pass. MODEL=a model of bench/models.mjs with an MTP block, TOKENS=24, ROUNDS=5, DRAFTS=1,2,3, RIGHT=0,0.5,0.9.
 */
import { openAsBlob } from 'node:fs';
import { loadavg } from 'node:os';
import { test } from 'vitest';
import { StepRunner } from '../src/engine/step-runner.ts';
import { Gpu } from '../src/gpu/index.ts';
import type { CandidateList } from '../src/kernels/candidates.ts';
import { loadTextModel } from '../src/model/text-model.ts';
import { openWeights } from '../src/weights/index.ts';
import { randomSource } from '../tools/testing/random.ts';
import { openDawn } from './dawn.mjs';
import { ensureModel } from './models.mjs';

const env = process.env;
const name = env.MODEL ?? '0.8b-8-layers-mtp-q4_k';
const TOKENS = Number(env.TOKENS ?? 24);
const ROUNDS = Number(env.ROUNDS ?? 5);
const drafts = (env.DRAFTS ?? '1,2,3').split(',').map(Number);
const shares = (env.RIGHT ?? '0,0.5,0.9').split(',').map(Number);
const NO_PENALTIES = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };
const prompt = Array.from({ length: 32 }, (_, i) => 300 + ((i * 7919) % 20000));

interface Way {
  readonly title: string;
  readonly runner: StepRunner;
  readonly drafts: number;
  readonly times: number[];
  passes: number;
  drafted: number;
  accepted: number;
}

test('decoding with drafts', async () => {
  const gpu = await Gpu.open(await openDawn());
  const weights = await openWeights(await openAsBlob(await ensureModel(name)), { store: 'none' });
  const text = await loadTextModel(gpu, weights, { mtp: true });
  const answer: number[] = [];
  const way = (title: string, count: number, right?: number): Way => {
    const random = randomSource(1);
    const propose = (sequence: readonly number[], most: number) =>
      Array.from({ length: most }, (_, i) => {
        const correct = answer[sequence.length + i - prompt.length] ?? 0;
        return random() < right! ? correct : (correct + 1) % 1000;
      });
    const drafter = right === undefined ? undefined : { propose };
    const runner = new StepRunner(gpu, text, {
      contextLength: 512,
      f16: false,
      drafts: count,
      drafter,
      snapshotBytes: 0,
    });
    return { title, runner, drafts: count, times: [], passes: 0, drafted: 0, accepted: 0 };
  };
  const alone = way('none', 0);
  await decode(alone, answer);
  const ways = [
    alone,
    ...drafts.flatMap((count) => shares.map((share) => way(`${count}, ${100 * share} % to be right`, count, share))),
    ...drafts.map((count) => way(`${count} by the MTP block`, count)),
  ];
  for (let round = 0; round <= ROUNDS; round++) {
    for (const each of ways) {
      if (round === 0) Object.assign(each, { passes: 0, drafted: 0, accepted: 0 });
      const ms = await decode(each);
      if (round > 0) each.times.push(ms); // the first compiles
    }
  }
  const reference = median(alone.times);
  console.log(`${gpu.adapterName}, ${name}, ${TOKENS} tokens, medians of ${ROUNDS}, load ${loadavg()[0].toFixed(1)}`);
  console.log('| drafts | right | tokens a pass | time of a pass | tokens a second |\n|---|---|---|---|---|');
  for (const { title, times, passes, drafted, accepted } of ways) {
    const tokensPerPass = ((ROUNDS + 1) * TOKENS) / passes;
    const right = drafted > 0 ? `${((100 * accepted) / drafted).toFixed(0)} %` : '';
    const ratio = reference / median(times);
    console.log(
      `| ${title} | ${right} | ${tokensPerPass.toFixed(2)} | × ${(tokensPerPass / ratio).toFixed(2)} | × ${ratio.toFixed(2)} |`,
    );
  }
  for (const { runner } of ways) runner.dispose();
  text.dispose();
  weights.close();
  gpu.dispose();
});

/** @param answer filled with what comes @returns milliseconds, without reading the prompt */
async function decode(way: Way, answer: number[] = []): Promise<number> {
  const { runner } = way;
  runner.reset();
  await runner.read(prompt.slice(0, -1));
  const start = performance.now();
  let next = prompt.at(-1)!;
  for (let n = 0; n < TOKENS; ) {
    const { drafts, rows } = await runner.verify(next, Math.min(way.drafts, TOKENS - n - 1), NO_PENALTIES, {
      all: true,
    });
    way.passes++;
    way.drafted += drafts.length;
    for (const [row, candidates] of rows.entries()) {
      next = likeliest(candidates);
      answer.push(next);
      n++;
      if (next !== drafts[row]) break;
      way.accepted++;
      runner.accept(next);
    }
  }
  return performance.now() - start;
}

function likeliest({ ids, logits }: CandidateList): number {
  return ids[logits.indexOf(logits.reduce((a, b) => Math.max(a, b)))];
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

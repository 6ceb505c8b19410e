/**
 * Decoding with drafts against decoding without, by how many drafts are right. A scripted drafter knows the answer and is
 * wrong as often as asked; the model's own MTP block, of random weights, is nearly always wrong, and shows what drafting with
 * it costs a pass. MODEL=a model of bench/models.mjs with an MTP block, TOKENS=24, ROUNDS=5, DRAFTS=1,2,3, RIGHT=0,0.5,0.9.
 */
import { openAsBlob } from 'node:fs';
import { loadavg } from 'node:os';
import { test } from 'vitest';
import { loadTokenModel } from '../src/engine/index.ts';
import { StepRunner } from '../src/engine/step-runner.ts';
import { Gpu } from '../src/gpu/index.ts';
import type { CandidateList } from '../src/kernels/candidates.ts';
import { loadTextModel } from '../src/model/text-model.ts';
import { Tokenizer } from '../src/text/index.ts';
import { openWeights } from '../src/weights/index.ts';
import { GREEDY_SAMPLING } from '../tools/testing/greedy.ts';
import { randomSource } from '../tools/testing/random.ts';
import { CONTEXT, readQuestions } from '../tools/tiny-model/questions.mjs';
import { openDawn } from './dawn.mjs';
import { ensureModel } from './models.mjs';

const env = process.env;
const name = env.MODEL ?? '0.8b-8-layers-mtp-q4_k';
const TOKENS = Number(env.TOKENS ?? 24);
const ROUNDS = Number(env.ROUNDS ?? 5);
const drafts = (env.DRAFTS ?? '1,2,3').split(',').map(Number);
const shares = (env.RIGHT ?? '0,0.5,0.9').split(',').map(Number);
/** Of the held-out questions every so many-th is asked. */
const QUESTION_STEP = Number(env.STEP ?? 8);
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

test('how many drafts of the trained tiny model are right', async () => {
  const file = 'demo/models/tiny.gguf';
  const questions = (await readQuestions('fixtures/tiny/questions.jsonl')).filter((_, i) => i % QUESTION_STEP === 0);
  const lines = ['| drafts | sampling | tokens | passes | right |', '|---|---|---|---|---|'];
  for (const count of [1, 2, 3]) {
    const options = { model: await openAsBlob(file), gpu: await openDawn(), precision: 'f32', store: 'none' } as const;
    const { model, metadata } = await loadTokenModel({ ...options, contextLength: CONTEXT, draftTokens: count });
    const tokenizer = new Tokenizer(metadata, file);
    const end = tokenizer.specialId('<|im_end|>')!;
    for (const temperature of [0, 0.7]) {
      const sampling = { ...GREEDY_SAMPLING, temperature, topP: 0.8, topK: 20, seed: 1 };
      const before = model.stats();
      for (const { prompt } of questions) {
        const ids = tokenizer.encode(prompt, { special: true });
        const asked = { maxTokens: 100, stopIds: new Set([end]), sampling };
        for await (const { id } of model.generate(ids, asked)) if (id === end) break;
      }
      const after = model.stats();
      const of = (key: 'completionTokens' | 'draftedTokens' | 'acceptedTokens') => after[key] - before[key];
      const [tokens, accepted] = [of('completionTokens'), of('acceptedTokens')];
      const right = `${((100 * accepted) / of('draftedTokens')).toFixed(0)} %`;
      lines.push(`| ${count} | temperature ${temperature} | ${tokens} | ${tokens - accepted} | ${right} |`);
    }
    await model.dispose();
  }
  console.log(lines.join('\n'));
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

/**
 * Records what a model's routers choose in conversations, for the simulation in bench/experts; and how well the routers of
 * later layers are foretold while a step waits for experts.
 *
 *     npx vitest run --config bench/vitest.config.ts bench/router-traces
 *
 * MODEL=a .gguf with experts, QUESTIONS=a .jsonl of rendered prompts, TOKENS=4500, TRACE=the file to write; SHARES=0.25,0.5 and
 * STREAMED=600 tokens for the second part, DELAY=5 (milliseconds that every read takes there, as a store's would).
 *
 * A prompt is read token by token, as an answer is written. Of the page's own model the second part's table goes into
 * docs/performance.md.
 */
import { mkdirSync, openAsBlob, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { StepRunner } from '../src/engine/step-runner.ts';
import {
  createPolicy,
  type ExpertPolicy,
  type ExpertResidency,
  type ExpertTrace,
  recording,
  TraceRecorder,
} from '../src/experts/index.ts';
import { Gpu } from '../src/gpu/index.ts';
import { readConfig } from '../src/model/config.ts';
import { loadTextModel } from '../src/model/text-model.ts';
import { Tokenizer } from '../src/text/index.ts';
import { openWeights } from '../src/weights/index.ts';
import { CONTEXT, LONGEST_ANSWER, type Question, readQuestions } from '../tools/tiny-model/questions.mjs';
import { openDawn } from './dawn.mjs';
import { table, writeTables } from './experts/docs.ts';
import { STATISTICS_HEADS, statistics, statisticsCells } from './experts/statistics.ts';

const env = process.env;
const model = env.MODEL ?? 'demo/models/tiny.gguf';
const questions = env.QUESTIONS ?? 'fixtures/tiny/questions.jsonl';
const tokens = Number(env.TOKENS ?? 4500);
const traceFile = env.TRACE ?? 'bench/experts/traces/tiny.trace';
const shares = (env.SHARES ?? '0.25,0.375,0.5').split(',').map(Number);
const streamedTokens = Number(env.STREAMED ?? 600);
const delayMs = Number(env.DELAY ?? 5);

const END_MARKERS = ['<|im_end|>', '<|endoftext|>'];
const NO_PENALTIES = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };

let gpu: Gpu;
let recorded: ExpertTrace | undefined;
beforeAll(async () => {
  gpu = await Gpu.open(await openDawn());
});
afterAll(() => gpu.dispose());

test('a trace of conversations', async () => {
  const running = await start(1, (policy) => policy);
  const counts = await converse(running, tokens);
  recorded = running.recorder.finish();
  running.dispose();
  mkdirSync(dirname(traceFile), { recursive: true });
  writeFileSync(traceFile, recorded.toBytes());
  console.log(
    `${model}: ${recorded.tokens} tokens of ${counts.conversations} conversations, ${counts.answered} of them generated, ` +
      `in ${traceFile} (${(recorded.toBytes().length / 1000).toFixed(0)} kB)`,
  );
  const cells = statisticsCells(statistics(recorded));
  console.log(STATISTICS_HEADS.map((head, i) => `${head}: ${cells[i]}`).join('\n'));
});

test('how well the next layers are foretold', async () => {
  const rows: string[][] = [];
  for (const share of shares) {
    const foretold = new Foretold();
    const running = await start(share, (policy) => foretold.listening(policy));
    foretold.watch(running.residency);
    await converse(running, streamedTokens);
    // Which experts are resident changes nothing of what is chosen.
    const { shape, choices } = running.recorder.finish();
    if (recorded) expect(choices).toEqual(recorded.choices.slice(0, choices.length));
    const { hits, misses } = running.residency.counts;
    const cells = [`${running.each} of ${shape.experts}`, percent(hits, hits + misses)];
    rows.push([...cells, ...foretold.tallies.map(({ right, said }) => percent(right, said))]);
    running.dispose();
  }
  const lines = [
    `${gpu.adapterName}, ${model}, the first ${streamedTokens} tokens of the trace, reads of ${delayMs} ms.`,
    '',
    ...table(['slots a layer', 'hits', 'foretold right, one layer ahead', 'two layers ahead'], rows),
  ];
  console.log(lines.join('\n'));
  if (env.MODEL === undefined) writeTables('bench/router-traces', lines);
});

type Running = Awaited<ReturnType<typeof start>>;

/** @param share of a layer's experts that have slots @param wrap the policy that the residency asks */
async function start(share: number, wrap: (policy: ExpertPolicy) => ExpertPolicy) {
  const weights = await openWeights(await openAsBlob(model), { store: 'none' });
  const { layers, ffn } = readConfig(weights);
  if (ffn.kind !== 'moe') throw new Error(`${model} has no experts`);
  const each = Math.max(ffn.topK, Math.round(share * ffn.experts));
  const shape = { layers: layers.length, experts: ffn.experts, chosen: ffn.topK };
  const recorder = new TraceRecorder(shape);
  const policy = wrap(recording(createPolicy('forecast', shape), recorder));
  const text = await loadTextModel(gpu, weights, { room: { slots: layers.map(() => each), policy } });
  const residency = text.experts!;
  if (share < 1) {
    for (const shelf of residency.shelves) {
      const read = shelf.read.bind(shelf);
      shelf.read = async (...call) => {
        await new Promise((resolve) => setTimeout(resolve, delayMs));
        return read(...call);
      };
    }
  }
  const runner = new StepRunner(gpu, text, { contextLength: CONTEXT, f16: false });
  const tokenizer = new Tokenizer(weights.metadata, model);
  const dispose = () => {
    runner.dispose();
    text.dispose();
    weights.close();
  };
  return { each, recorder, residency, runner, tokenizer, dispose };
}

/** Asks questions and has them answered greedily, until so many tokens are recorded or no question is left. */
async function converse({ recorder, runner, tokenizer }: Running, most: number) {
  const ends = new Set(END_MARKERS.map((marker) => tokenizer.specialId(marker)));
  let [conversations, answered] = [0, 0];
  const spent = new Map<string, number>();
  for (const open = await openQuestions(); open.size > 0 && recorder.tokens < most; conversations++) {
    // Kinds of conversation have equal parts, as far as there are questions: some prompts are twenty times as long as others.
    const category = [...open.keys()].reduce((a, b) => ((spent.get(b) ?? 0) < (spent.get(a) ?? 0) ? b : a));
    const asked = open.get(category)!;
    const { prompt } = asked.shift()!;
    if (asked.length === 0) open.delete(category);
    const before = recorder.tokens;
    runner.reset();
    const ids = tokenizer.encode(prompt, { special: true });
    for (let n = 0; n < ids.length + LONGEST_ANSWER && recorder.tokens < most; n++) {
      const { ids: found, logits } = await runner.step([ids[n]], NO_PENALTIES);
      if (n < ids.length - 1) continue;
      const next = found[logits.indexOf(logits.reduce((a, b) => Math.max(a, b)))];
      if (ends.has(next)) break;
      ids[n + 1] = next;
      answered++;
    }
    spent.set(category, (spent.get(category) ?? 0) + recorder.tokens - before);
  }
  return { conversations, answered };
}

/** By category; without those of pictures, whose tokens are not in the text. */
async function openQuestions(): Promise<Map<string, Question[]>> {
  const open = new Map<string, Question[]>();
  for (const question of await readQuestions(questions)) {
    if (question.category === 'images') continue;
    open.set(question.category, [...(open.get(question.category) ?? []), question]);
  }
  return open;
}

/** Counts how many of the experts that were foretold for a layer its router then chose, by layers ahead of the waiting one. */
class Foretold {
  readonly tallies = [
    { said: 0, right: 0 },
    { said: 0, right: 0 },
  ];
  readonly #open = new Map<number, { ahead: number; experts: readonly number[] }>();
  #waiting = 0;

  listening(policy: ExpertPolicy): ExpertPolicy {
    return {
      touch: (layer, experts, token) => {
        const said = this.#open.get(layer);
        this.#open.delete(layer);
        if (said) {
          const tally = this.tallies[said.ahead - 1];
          tally.said += said.experts.length;
          tally.right += said.experts.filter((expert) => experts.includes(expert)).length;
        }
        policy.touch(layer, experts, token);
      },
      victim: (layer, pinned) => policy.victim(layer, pinned),
      admitted: (layer, expert) => policy.admitted(layer, expert),
      initial: (layer, slots) => policy.initial(layer, slots),
    };
  }

  watch(residency: ExpertResidency): void {
    const waves = residency.waves.bind(residency);
    residency.waves = (layer, ...more) => {
      this.#waiting = layer;
      return waves(layer, ...more);
    };
    const prefetch = residency.prefetch.bind(residency);
    residency.prefetch = (layer, experts) => {
      this.#open.set(layer, { ahead: layer - this.#waiting, experts });
      return prefetch(layer, experts);
    };
  }
}

function percent(part: number, all: number): string {
  return all > 0 ? `${((100 * part) / all).toFixed(1)} %` : '';
}

/** Drafts change how many passes an answer takes, and nothing else: tokens, logits and what is kept of the sequence. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture, golden } from '../../tools/testing/fixtures.ts';
import { GREEDY_SAMPLING } from '../../tools/testing/greedy.ts';
import { openTestGpu, testCapabilities } from '../../tools/testing/kernels.ts';
import { expertsWithMtp, foreseeableModel } from '../../tools/testing/mtp-models.ts';
import { watchGpu } from '../../tools/testing/watched-gpu.ts';
import { QwenError } from '../errors.ts';
import { createPolicy } from '../experts/index.ts';
import { type Gpu, type GpuBuffer, Recorder } from '../gpu/index.ts';
import { Engine } from '../index.ts';
import type { CandidateList } from '../kernels/candidates.ts';
import { readConfig } from '../model/config.ts';
import { decoder } from '../model/decoder.ts';
import { mtp, mtpHead } from '../model/mtp.ts';
import type { Pass } from '../model/pass.ts';
import { ropeTable, sequencePositions } from '../model/rope.ts';
import { Scratch } from '../model/scratch.ts';
import { SequenceState } from '../model/state.ts';
import { loadTextModel } from '../model/text-model.ts';
import type { PenaltyList } from '../text/index.ts';
import { openWeights } from '../weights/index.ts';
import { loadTokenModel } from './index.ts';
import { StepRunner } from './step-runner.ts';
import type { GeneratedToken, GenerateOptions, TokenModel } from './types.ts';

const NO_PENALTIES: PenaltyList = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };
const FIXTURE = 'models/dense-mtp-f16.gguf';

const tokens = (count: number, seed = 0) => Array.from({ length: count }, (_, i) => ((i + seed) * 7919 + 13) % 700);
const argmax = (row: ArrayLike<number>) => Array.from(row).reduce((best, v, i) => (v > row[best] ? i : best), 0);
const likeliest = ({ ids, logits }: CandidateList) => ids[argmax(logits)];
const bits = (floats: Float32Array<ArrayBuffer>) => new Uint32Array(floats.buffer, floats.byteOffset, floats.length);

interface RunSettings {
  drafts?: number;
  f16?: boolean;
  without?: Parameters<typeof openTestGpu>[0];
  /** Of every layer and the MTP block; default: all. */
  slots?: number;
  /** Drafts by position: what a scripted drafter proposes. */
  script?: (position: number) => number;
}

/** By what they do without. Kernels take longer to compile than to run, so all runs of a kind share a device. */
const gpus = new Map<string, Promise<Gpu>>();
afterAll(async () => {
  for (const opened of gpus.values()) {
    const gpu = await opened;
    expect(gpu.liveBuffers).toBe(0);
    gpu.dispose();
  }
});

async function run(file: Blob, { drafts = 0, f16 = false, without = [], slots, script }: RunSettings = {}) {
  const kind = without.join();
  if (!gpus.has(kind)) gpus.set(kind, openTestGpu(without));
  const gpu = await gpus.get(kind)!;
  const weights = await openWeights(file, { store: 'none' });
  const { layers, ffn } = readConfig(weights);
  const count = layers.length + 1;
  const experts = ffn.kind === 'moe' ? ffn.experts : 0;
  const policy = createPolicy('lru', { layers: count, experts });
  const room = { slots: new Array<number>(count).fill(slots ?? experts), policy };
  const isMtp = drafts > 0 && !script;
  const model = await loadTextModel(gpu, weights, { room: experts > 0 ? room : undefined, mtp: isMtp });
  const drafter = script && {
    propose: (sequence: readonly number[], most: number) =>
      Array.from({ length: most }, (_, i) => script(sequence.length + i)),
  };
  const runner = new StepRunner(gpu, model, { contextLength: 512, f16, drafts, drafter, foresees: false });
  const dispose = () => {
    runner.dispose();
    model.dispose();
    weights.close();
  };
  return { gpu, model, runner, dispose };
}

const reference = await golden('dense-mtp-f16');
const draftRows = async () => {
  const json = JSON.parse(await (await fixture('goldens/dense-mtp-f16.draft.json')).text()) as {
    ids: number[];
    n_vocab: number;
    rows: number;
  };
  const logits = new Float32Array(await (await fixture('goldens/dense-mtp-f16.draft.f32')).arrayBuffer());
  return { ...json, row: (p: number) => logits.subarray(p * json.n_vocab, (p + 1) * json.n_vocab) };
};

describe('the MTP block of dense-mtp-f16 against the reference', () => {
  test('logits of all drafts differ by at most 1e-3', async () => {
    const { ids, rows, n_vocab, row } = await draftRows();
    const { gpu, model, runner } = await run(await fixture(FIXTURE), { drafts: 1 });
    runner.dispose();
    const { config } = model;
    const owned: { dispose(): void }[] = [];
    const own = <T extends { dispose(): void }>(resource: T): T => {
      owned.push(resource);
      return resource;
    };
    const upload = (data: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>): GpuBuffer =>
      own(gpu.upload('input', data));
    const scratch = own(new Scratch(gpu, ids.length));
    const state = own(new SequenceState(gpu, config, { contextLength: 128, kv: 'f32', mtpRows: ids.length }));
    const logits = own(gpu.createBuffer('logits', rows * n_vocab * 4));
    const hidden = own(gpu.createBuffer('hidden', rows * config.hidden * 4));
    const step = upload(new Uint32Array(4));
    const base = (count: number, from: number): Pass => ({
      rec: new Recorder(gpu),
      config,
      scratch,
      input: {
        tokens: upload(Uint32Array.from(ids.slice(from))),
        rope: upload(ropeTable(config.rope, sequencePositions(from, count))),
      },
      tokens: count,
      f16: false,
    });
    const first = base(ids.length, 0);
    const x = decoder(first, model, state);
    const second = base(rows, 1);
    const drafted = mtp(second, model, model.mtp!, state.mtp!.cache, { hidden: state.mtp!.waiting, residual: true });
    mtpHead(second, model.mtp!, drafted, { hidden, logits }, 0, rows);
    const encoder = gpu.device.createCommandEncoder();
    const programs = [own(await first.rec.build('main', step)), own(await second.rec.build('MTP', step))];
    programs[0].encode(encoder);
    encoder.copyBufferToBuffer(x.buffer, 0, state.mtp!.waiting.buffer, 0, ids.length * config.hidden * 4);
    programs[1].encode(encoder);
    gpu.device.queue.submit([encoder.finish()]);
    const found = new Float32Array(await gpu.read(logits));
    let worst = 0;
    for (let p = 0; p < rows; p++) {
      row(p).forEach((expected, i) => {
        const difference = Math.abs(found[p * n_vocab + i] - expected);
        if (!(difference <= worst)) worst = difference;
      });
    }
    expect(worst).toBeLessThanOrEqual(1e-3);
    for (const resource of owned) resource.dispose();
    model.dispose();
  });

  test('drafts are its likeliest tokens, however the tokens before came: in passes, one by one, after wrong drafts', async () => {
    const { ids, row } = await draftRows();
    const { runner, dispose } = await run(await fixture(FIXTURE), { drafts: 3 });
    await runner.read(ids.slice(0, 9));
    await runner.read(ids.slice(9, 12));
    for (let p = 12; p < ids.length; p++) {
      if (p % 7 === 3 || p % 7 === 4) {
        await runner.step([ids[p]], NO_PENALTIES); // what it would read waits
        continue;
      }
      const { drafts } = await runner.verify(ids[p], 1 + 2 * (p % 2), NO_PENALTIES, { all: true });
      expect(drafts[0], `behind token ${p}`).toBe(argmax(row(p - 1)));
    }
    dispose();
  });

  test('goes on from its own hidden state to draft further', async () => {
    const { ids } = await draftRows();
    const { runner, dispose } = await run(await fixture(FIXTURE), { drafts: 3 });
    // By make/reference.py's block, fed with its own normed output; the best logit leads by 0.2 at least.
    const expected = new Map([
      [1, [98, 307, 151]],
      [20, [286, 272, 320]],
      [40, [22, 391, 575]],
    ]);
    for (const [p, chain] of expected) {
      runner.reset();
      await runner.read(ids.slice(0, p + 1));
      expect((await runner.verify(ids[p + 1], 3, NO_PENALTIES, { all: true })).drafts).toEqual(chain);
    }
    dispose();
  });
});

/** What a model without drafts makes of a prompt: each next token, and the logits it was chosen from. */
async function alone(file: Blob, prompt: readonly number[], count: number, settings: RunSettings = {}) {
  const { runner, dispose } = await run(file, { ...settings, drafts: 0, script: undefined });
  await runner.read(prompt.slice(0, -1));
  const chosen: number[] = [];
  const logits: Uint32Array[] = [];
  let next = prompt.at(-1)!;
  for (let n = 0; n < count; n++) {
    next = likeliest(await runner.step([next], NO_PENALTIES));
    chosen.push(next);
    logits.push(bits(await runner.lastLogits()));
  }
  dispose();
  return { chosen, logits };
}

/** The same with drafts, as an answer is made. */
async function drafted(runner: StepRunner, prompt: readonly number[], count: number, drafts: number) {
  await runner.read(prompt.slice(runner.state.position, -1));
  const chosen: number[] = [];
  const logits: Uint32Array[] = [];
  let next = prompt.at(-1)!;
  let [passes, accepted] = [0, 0];
  while (chosen.length < count) {
    const verified = await runner.verify(next, drafts, NO_PENALTIES, { all: true });
    passes++;
    for (const [row, candidates] of verified.rows.entries()) {
      next = likeliest(candidates);
      chosen.push(next);
      logits.push(bits(await runner.lastLogits(row)));
      if (next !== verified.drafts[row] || chosen.length === count) break;
      runner.accept(next);
      accepted++;
    }
  }
  return { chosen, logits, passes, accepted };
}

function expectBits(found: readonly Uint32Array[], expected: readonly Uint32Array[]): void {
  expect(found.length).toBe(expected.length);
  for (const [i, row] of found.entries()) {
    const wrong = row.findIndex((word, at) => word !== expected[i][at]);
    expect(wrong, `logits ${i}, word ${wrong} of ${row.length}`).toBe(-1);
  }
}

const capabilities = await testCapabilities();
const VARIANTS = (
  [
    { title: 'f32', f16: false, without: [] },
    { title: 'f16 without subgroups', f16: true, without: ['subgroups'] },
  ] as const
).filter(({ f16 }) => capabilities.f16 || !f16);

describe.each(VARIANTS)('verifying in $title', (variant) => {
  const COUNT = 13;
  const prompt = tokens(37);
  let file: Blob;
  let expected: Awaited<ReturnType<typeof alone>>;
  beforeAll(async () => {
    file = await fixture(FIXTURE);
    expected = await alone(file, prompt, COUNT, variant);
  });

  // Right at all places but those where the position is a multiple of `wrong`.
  test.each([
    { drafts: 1, wrong: 1 },
    { drafts: 1, wrong: 3 },
    { drafts: 3, wrong: 4 },
    { drafts: 3, wrong: 1 },
    { drafts: 3, wrong: 5 },
    { drafts: 3, wrong: 1000 },
  ])('$drafts drafts, a wrong one at every multiple of $wrong: the same bits as token by token', async (script) => {
    const right = (position: number) => expected.chosen[position - prompt.length] ?? 0;
    const propose = (position: number) => (right(position) + Number(position % script.wrong === 0)) % 757;
    const { runner, dispose } = await run(file, { ...variant, drafts: script.drafts, script: propose });
    const found = await drafted(runner, prompt, COUNT, script.drafts);
    expect(found.chosen).toEqual(expected.chosen);
    expectBits(found.logits, expected.logits);
    if (script.wrong === 1) expect(found.accepted).toBe(0);
    if (script.wrong === 1000) expect(found.passes).toBe(Math.ceil(COUNT / 4));
    // What was not accepted has never been read.
    expect(runner.prefix.tokens).toEqual([...prompt, ...expected.chosen.slice(0, COUNT - 1)]);
    expect(runner.state.position).toBe(prompt.length + COUNT - 1);
    dispose();
  });
});

/** With `seed`, what the settings of a chat without thinking are, and more of each penalty. */
const SAMPLED: GenerateOptions['sampling'] = {
  ...GREEDY_SAMPLING,
  temperature: 0.35,
  topP: 0.9,
  topK: 20,
  minP: 0.01,
  seed: 7,
};
const PENALISED = { ...SAMPLED, presencePenalty: 1.5, frequencyPenalty: 0.3, repetitionPenalty: 1.1 };

describe('answers of a model whose drafts are often right', () => {
  const models: TokenModel[] = [];
  const watched: ReturnType<typeof watchGpu>[] = [];
  beforeAll(async () => {
    const file = foreseeableModel();
    for (const draftTokens of [0, 1, 3]) {
      const watch = watchGpu(await testGpu());
      watched.push(watch);
      const options = { model: file, gpu: watch.gpu, precision: 'f32', contextLength: 110, store: 'none' } as const;
      models.push((await loadTokenModel({ ...options, draftTokens })).model);
    }
  });
  afterAll(async () => {
    for (const model of models) await model.dispose();
    expect(watched.map(({ liveBuffers }) => liveBuffers)).toEqual(models.map(() => 0));
  });

  async function answer(model: TokenModel, prompt: readonly number[], options: Partial<GenerateOptions> = {}) {
    const found: GeneratedToken[] = [];
    const all = { maxTokens: 60, stopIds: new Set<number>(), sampling: GREEDY_SAMPLING, ...options };
    const before = model.stats();
    for await (const token of model.generate(prompt, all)) found.push(token);
    const { draftedTokens, acceptedTokens, reusedTokens } = model.stats();
    return {
      found,
      drafted: draftedTokens - before.draftedTokens,
      accepted: acceptedTokens - before.acceptedTokens,
      reused: reusedTokens - before.reusedTokens,
    };
  }

  test.each([
    { title: 'greedy', options: {} },
    { title: 'sampled', options: { sampling: SAMPLED, topLogprobs: 5 } },
    { title: 'sampled with all penalties', options: { sampling: PENALISED, topLogprobs: 5 } },
    { title: 'sampled from the whole vocabulary', options: { sampling: { ...PENALISED, topK: 0, topP: 1, minP: 0 } } },
  ])('$title: the same tokens and log probabilities with 0, 1 and 3 drafts', async ({ options }) => {
    const prompt = tokens(20);
    const [expected, ...others] = await Promise.all(models.map((model) => answer(model, prompt, options)));
    expect(expected).toMatchObject({ drafted: 0, accepted: 0 });
    expect(expected.found).toHaveLength(60);
    for (const { found, drafted, accepted } of others) {
      expect(found).toEqual(expected.found);
      expect(accepted).toBeGreaterThan(0);
      if (options.sampling === undefined) expect(accepted).toBeGreaterThan(0.9 * drafted);
      else expect(accepted).toBeLessThan(drafted);
    }
  });

  test('an answer that stops at a drafted token leaves the sequence where it would be without drafts', async () => {
    const prompt = tokens(30, 4);
    const { found } = await answer(models[0], prompt, { maxTokens: 12 });
    const ids = found.map(({ id }) => id);
    const next = [...prompt, ...ids.slice(0, 5), ...tokens(9, 60)];
    const expected: unknown[] = [];
    for (const [i, model] of models.entries()) {
      const stopped = await answer(model, prompt, { maxTokens: 12, stopIds: new Set([ids[4]]) });
      const later = await answer(model, next, { maxTokens: 6, topLogprobs: 3 });
      // The token that it stopped at was chosen, but not read.
      expect(later.reused, `model ${i}`).toBe(prompt.length + stopped.found.length - 1);
      expected.push([stopped.found, later.found]);
    }
    for (const other of expected) expect(other).toEqual(expected[0]);
  });

  test('an abort between two tokens of one pass leaves nothing wrong behind', async () => {
    const prompt = tokens(25, 9);
    const plain = await answer(models[0], prompt, { maxTokens: 20 });
    const controller = new AbortController();
    const options = { maxTokens: 20, stopIds: new Set<number>(), sampling: GREEDY_SAMPLING };
    const ids: number[] = [];
    const aborted = async () => {
      for await (const { id } of models[2].generate(prompt, options, controller.signal)) {
        ids.push(id);
        if (ids.length === 6) controller.abort();
      }
    };
    await expect(aborted()).rejects.toMatchObject({ name: 'AbortError' });
    expect(ids).toHaveLength(6);
    const again = await answer(models[2], [...prompt, ...ids], { maxTokens: 14 });
    expect(again.reused).toBe(prompt.length + 5);
    expect(again.found).toEqual(plain.found.slice(6));
  });

  test('the context ends where it ends without drafts', async () => {
    const prompt = tokens(90, 2);
    const [expected, ...others] = await Promise.all(models.map((model) => answer(model, prompt, { maxTokens: 1000 })));
    expect(expected.found).toHaveLength(20);
    for (const { found } of others) expect(found).toEqual(expected.found);
  });

  test.each([4, 0.5])('%s drafts are refused', async (draftTokens) => {
    const options = { model: foreseeableModel(), gpu: await testGpu(), store: 'none', draftTokens } as const;
    await expect(loadTokenModel(options)).rejects.toMatchObject({ code: 'invalid-request', param: 'draftTokens' });
  });
});

test('greedy answers of random weights, whose drafts are wrong, are those of the reference; drafting is soon given up', async () => {
  const options = { model: await fixture(FIXTURE), gpu: await testGpu(), precision: 'f32', store: 'none' } as const;
  const { model } = await loadTokenModel({ ...options, contextLength: 2048, draftTokens: 1 });
  for (const { ids, greedy } of reference.prompts) {
    const found: number[] = [];
    const asked = { maxTokens: 24, stopIds: new Set<number>(), sampling: GREEDY_SAMPLING };
    for await (const { id } of model.generate(ids, asked)) found.push(id);
    expect(found).toEqual(greedy);
  }
  const { draftedTokens, acceptedTokens } = model.stats();
  expect(draftedTokens).toBeGreaterThan(0);
  expect(draftedTokens).toBeLessThan(24 * reference.prompts.length);
  expect(acceptedTokens).toBeLessThan(draftedTokens / 2);
  await model.dispose();
});

describe('with experts, also in the MTP block', () => {
  const prompt = tokens(40);
  const COUNT = 8;
  const file = expertsWithMtp();
  let expected: Awaited<ReturnType<typeof alone>>;
  beforeAll(async () => {
    expected = await alone(file, prompt, COUNT);
  });

  test.each([
    ['all of them in slots', undefined],
    ['the fewest in slots', 3],
  ])('%s: the same bits, and the block finds its own', async (_, slots) => {
    const { model, runner, dispose } = await run(file, { drafts: 3, slots });
    const found = await drafted(runner, prompt, COUNT, 3);
    expect(found.chosen).toEqual(expected.chosen);
    expectBits(found.logits, expected.logits);
    const { misses } = model.experts!.counts;
    expect(model.experts!.shelves).toHaveLength(5);
    expect(misses > 0).toBe(slots !== undefined);
    dispose();
  });

  test('the plan counts the block, its slots and the states, and is kept', async () => {
    const options = { gpu: await testGpu(), contextLength: 300, precision: 'f32' } as const;
    const [without, planned] = await Promise.all(
      [0, 1].map((draftTokens) => Engine.plan(file, { ...options, draftTokens })),
    );
    expect(without.slots).toEqual(Array(4).fill(9));
    expect(planned.slots).toEqual(Array(5).fill(9));
    expect([without.stepsAhead, planned.stepsAhead]).toEqual([true, false]);
    // A cache, and the hidden states that wait. Both have one more state of the DeltaNet layers, the other for steps ahead.
    const cache = 2 * 4 * 256 * 300;
    expect(planned.contextBytes - without.contextBytes).toBe(cache + 256 * 128 * 4);
    expect(planned.minimumBytes - without.minimumBytes).toBeGreaterThan(3 * 4 * (3 * 6 * 128 + 2 * 128 * 128));

    const load = {
      ...options,
      model: file,
      store: 'none',
      draftTokens: 1,
      gpuMemoryBytes: planned.minimumBytes,
    } as const;
    const { model } = await loadTokenModel(load);
    expect(model.stats().expertSlots).toBe(5 * 3);
    const asked = { maxTokens: 12, stopIds: new Set<number>(), sampling: GREEDY_SAMPLING };
    for await (const { id } of model.generate(tokens(270), asked)) expect(id).toBeLessThan(757);
    const { peakGpuBytes, draftedTokens } = model.stats();
    expect(draftedTokens).toBeGreaterThan(0);
    expect(peakGpuBytes).toBeLessThanOrEqual(planned.minimumBytes);
    expect(peakGpuBytes).toBeGreaterThan(0.7 * planned.minimumBytes);
    await model.dispose();
  });

  test.each([
    { title: 'the block waits', layer: 4 },
    { title: 'a layer of the verifying pass waits', layer: 2 },
  ])('a failure while $title: the next answer goes on from what was kept', async ({ layer }) => {
    const { model, runner, dispose } = await run(file, { drafts: 3, slots: 3 });
    await runner.read(prompt.slice(0, 20));
    runner.prefix.keep();
    await drafted(runner, [...prompt.slice(0, 30)], 2, 3);
    const shelf = model.experts!.shelves[layer];
    const read = shelf.read.bind(shelf);
    shelf.read = () => Promise.reject(new QwenError('network', 'The server is gone.'));
    const failing = async () => {
      for (let n = 0; n < 20; n++) await runner.verify(n, 3, NO_PENALTIES, { all: true });
    };
    await expect(failing()).rejects.toMatchObject({ code: 'network' });
    expect(runner.state.position).toBe(20);
    shelf.read = read;
    const found = await drafted(runner, prompt, COUNT, 3);
    expect(found.chosen).toEqual(expected.chosen);
    dispose();
  });

  test('what is drafted after going back to what was kept is what a fresh sequence drafts', async () => {
    const [used, fresh] = [await run(file, { drafts: 1 }), await run(file, { drafts: 1 })];
    await used.runner.read(prompt.slice(0, 20));
    used.runner.prefix.keep();
    await drafted(used.runner, prompt, 5, 1);
    expect(used.runner.resume([...prompt.slice(0, 20), ...tokens(15, 90)])).toBe(20);
    for (const { runner } of [used, fresh]) {
      await runner.read([...prompt.slice(0, 20), ...tokens(15, 90)].slice(runner.state.position));
    }
    for (const id of tokens(6, 200)) {
      const [ours, theirs] = await Promise.all(
        [used, fresh].map(({ runner }) => runner.verify(id, 1, NO_PENALTIES, { all: true })),
      );
      expect(ours.drafts).toEqual(theirs.drafts);
    }
    used.dispose();
    fresh.dispose();
  });
});

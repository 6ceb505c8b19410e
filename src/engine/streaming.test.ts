/** Experts that are not all in GPU memory: the same bits as with all of them, and no more traffic than is needed. */
import { beforeAll, describe, expect, test } from 'vitest';
import { fixture } from '../../tools/testing/fixtures.ts';
import { openTestGpu, testCapabilities } from '../../tools/testing/kernels.ts';
import { QwenError } from '../errors.ts';
import { createPolicy, expertPlaces, recording, TraceRecorder } from '../experts/index.ts';
import type { Gpu } from '../gpu/index.ts';
import { readConfig } from '../model/config.ts';
import { loadTextModel, type TextModel } from '../model/text-model.ts';
import type { PenaltyList } from '../text/index.ts';
import { openWeights } from '../weights/index.ts';
import type { Weights } from '../weights/types.ts';
import { StepRunner } from './step-runner.ts';

const MODELS: Readonly<Record<string, readonly string[]>> = {
  'moe-f16': ['moe-f16.gguf'],
  'moe-q4_k_m': [1, 2, 3, 4].map((n) => `moe-q4_k_m-0000${n}-of-00004.gguf`),
  'moe-dynamic': ['moe-dynamic.gguf'],
};

const NO_PENALTIES: PenaltyList = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };

interface Running {
  readonly gpu: Gpu;
  readonly model: TextModel;
  readonly runner: StepRunner;
  readonly reads: { name: string; start: number; length: number }[];
  /** Listens to the model's routers. */
  readonly recorder: TraceRecorder;
  dispose(): void;
}

const tokens = (count: number, seed = 0) => Array.from({ length: count }, (_, i) => ((i + seed) * 7919 + 13) % 700);

interface RunSettings {
  f16?: boolean;
  int8?: boolean;
  without?: Parameters<typeof openTestGpu>[0];
  foresees?: boolean;
  early?: boolean;
}

/** @param slots of every layer; undefined: all */
async function run(
  name: string,
  slots: number | undefined,
  { f16 = false, int8, without = [], foresees = true, early = false }: RunSettings = {},
): Promise<Running> {
  const gpu = await openTestGpu(without);
  const files = await Promise.all(MODELS[name].map((file) => fixture(`models/${file}`)));
  const reads: Running['reads'] = [];
  const weights = watched(await openWeights(files, { store: 'none' }), reads);
  const { layers, ffn } = readConfig(weights);
  if (ffn.kind !== 'moe') throw new Error(`${name} has no experts`);
  const lru = createPolicy('lru', { layers: layers.length, experts: ffn.experts });
  const recorder = new TraceRecorder({ layers: layers.length, experts: ffn.experts, chosen: ffn.topK });
  const policy = recording(lru, recorder);
  const room = { slots: layers.map(() => slots ?? ffn.experts), policy, early };
  const model = await loadTextModel(gpu, weights, { room });
  reads.length = 0;
  const halves = f16 && gpu.capabilities.f16;
  const runner = new StepRunner(gpu, model, { contextLength: 512, f16: halves, int8, foresees });
  const dispose = () => {
    runner.dispose();
    model.dispose();
    gpu.dispose();
  };
  return { gpu, model, runner, reads, recorder, dispose };
}

function watched(weights: Weights, reads: Running['reads']): Weights {
  const tensors = new Map(
    [...weights.tensors].map(([name, tensor]) => [
      name,
      {
        ...tensor,
        read: (start: number, length: number, signal?: AbortSignal) => {
          reads.push({ name, start, length });
          return tensor.read(start, length, signal);
        },
      },
    ]),
  );
  return {
    name: weights.name,
    metadata: weights.metadata,
    byteLength: weights.byteLength,
    networkBytes: 0,
    storeBytes: 0,
    missingBytes: 0,
    download: () => weights.download(),
    tensors,
    close: () => weights.close(),
  };
}

const bits = (floats: Float32Array<ArrayBuffer>) => new Uint32Array(floats.buffer, floats.byteOffset, floats.length);

interface Answer {
  /** After every token of prompts of several lengths, and after each generated token. */
  readonly logits: Uint32Array[];
  readonly greedy: number[];
  /** Per generated token and layer: what its router chose. */
  readonly chosen: number[][][];
}

/** Prompts of one token, of few (no tiles), of one pass and of two; then tokens one by one. */
async function answer({ runner, recorder, model }: Running): Promise<Answer> {
  const logits: Uint32Array[] = [];
  for (const length of [1, 3, 50, 258]) logits.push(bits(await runner.logits(tokens(length), 0)));
  const greedy: number[] = [];
  runner.reset();
  await runner.read(tokens(40, 3));
  let next = 5;
  for (let n = 0; n < 12; n++) {
    const { ids, logits: found } = await runner.step([next], NO_PENALTIES);
    next = ids[found.indexOf(found.reduce((a, b) => Math.max(a, b)))];
    greedy.push(next);
    logits.push(bits(await runner.lastLogits()));
  }
  const trace = recorder.finish();
  const layers = [...model.layers.keys()];
  const chosen = greedy.map((_, n) => layers.map((layer) => trace.at(trace.tokens - greedy.length + n, layer)));
  return { logits, greedy, chosen };
}

function expectSame(found: Answer, all: Answer): void {
  expect(found.greedy).toEqual(all.greedy);
  expect(found.chosen).toEqual(all.chosen);
  for (const [i, row] of found.logits.entries()) {
    const wrong = row.findIndex((word, at) => word !== all.logits[i][at]);
    expect(wrong, `logits ${i}, word ${wrong} of ${row.length}`).toBe(-1);
  }
}

const capabilities = await testCapabilities();
const VARIANTS = (
  [
    { title: 'f32', f16: false, without: [] },
    { title: 'f16 and int8', f16: true, int8: true, without: [] },
    { title: 'f32 without subgroups', f16: false, without: ['subgroups'] },
    { title: 'f16 without subgroups', f16: true, without: ['subgroups'] },
  ] as const
).filter(({ f16 }) => capabilities.f16 || !f16);

describe.each(Object.keys(MODELS))('%s', (name) => {
  describe.each(name === 'moe-q4_k_m' ? VARIANTS : VARIANTS.slice(0, 1))('in $title', (variant) => {
    let all: Answer;
    let experts: number;
    let topK: number;
    beforeAll(async () => {
      const running = await run(name, undefined, variant);
      const { ffn } = running.model.config;
      if (ffn.kind !== 'moe') throw new Error('no experts');
      ({ experts, topK } = ffn);
      all = await answer(running);
      expect(running.model.experts).toMatchObject({ counts: { misses: 0 }, complete: true });
      for (const chosen of all.chosen.flat()) expect(new Set(chosen).size).toBe(topK);
      running.dispose();
    });

    test.each([
      ['half of the experts', 0.5],
      ['the fewest', 0],
    ])('%s in slots give the same bits as all', async (_, share) => {
      const running = await run(name, Math.max(topK, Math.floor(share * experts)), variant);
      expectSame(await answer(running), all);
      expect(running.model.experts!.counts.misses).toBeGreaterThan(0);
      running.dispose();
    });
  });
});

describe('traffic', () => {
  let running: Running;
  const submits = { count: 0 };
  const maps = { count: 0 };

  async function start(slots: number | undefined): Promise<void> {
    running = await run('moe-f16', slots, { foresees: false });
    const { device } = running.gpu;
    const queue = device.queue;
    const submit = queue.submit.bind(queue);
    queue.submit = (commands) => {
      submits.count++;
      return submit(commands);
    };
    // `device.queue` may be a new object each time it is asked for.
    Object.defineProperty(device, 'queue', { value: queue });
    const map = running.gpu.map.bind(running.gpu);
    running.gpu.map = (...call) => {
      maps.count++;
      return map(...call);
    };
    await running.runner.read(tokens(20));
    await running.runner.step([1], NO_PENALTIES);
    submits.count = 0;
    maps.count = 0;
    running.reads.length = 0;
  }

  test('a token is one submit and one readback where all experts are in slots', async () => {
    await start(undefined);
    for (let n = 1; n <= 5; n++) {
      await running.runner.step([n], NO_PENALTIES);
      expect([submits.count, maps.count]).toEqual([n, n]);
    }
    // Candidates, the step buffer, and three experts of four layers.
    expect(running.runner.stepCost.readbackBytes).toBe(1040 + 16 + 3 * 4 * 4);
    expect(running.reads).toEqual([]);
    running.dispose();
  });

  test('a miss reads exactly what is missing, and costs one more readback', async () => {
    await start(4);
    const { runner, model } = running;
    const { misses: before } = model.experts!.counts;
    const resident = model.experts!.shelves.map(({ table }) =>
      Array.from({ length: table.experts }, (_, expert) => table.slotOf(expert) !== undefined),
    );
    await runner.step([7], NO_PENALTIES);
    const misses = model.experts!.counts.misses - before;
    expect(misses).toBeGreaterThan(0);
    // Three matrices each, of experts that were in no slot, none twice.
    expect(running.reads).toHaveLength(3 * misses);
    expect(new Set(running.reads.map(({ name, start }) => `${name} ${start}`)).size).toBe(3 * misses);
    for (const { name, start, length } of running.reads) {
      const [, layer] = /^blk\.(\d+)\.ffn_\w+_exps/.exec(name)!;
      expect(start % length).toBe(0);
      expect(resident[Number(layer)][start / length]).toBe(false);
    }
    const halts = new Set(running.reads.map(({ name }) => name.split('.')[1])).size;
    expect(maps.count).toBe(1 + halts);
    running.dispose();
  });
});

describe('a chat that begins before its experts are there', () => {
  test('fetches those that it wants, while the others come; then nothing waits any more', async () => {
    const late = await run('moe-f16', undefined, { early: true });
    const experts = late.model.experts!;
    expect(experts).toMatchObject({ resident: 0, complete: false });
    const filled = experts.fill();
    const found = await answer(late);
    await filled;
    expect(experts.complete).toBe(true);
    // Whoever wanted an expert, it was read once.
    const keys = late.reads.map(({ name, start }) => `${name} ${start}`);
    expect(new Set(keys).size).toBe(3 * experts.slots);
    const before = experts.counts.misses;
    await late.runner.step([9], NO_PENALTIES);
    expect(experts.counts.misses).toBe(before);
    late.dispose();

    const all = await run('moe-f16', undefined);
    expectSame(found, await answer(all));
    all.dispose();
  });

  test('is shown by the map: absent, resident, in use', async () => {
    const late = await run('moe-f16', 5, { early: true });
    const experts = late.model.experts!;
    expect([...experts.places()]).toEqual(Array(4 * 9).fill(expertPlaces.stored));
    await experts.fill();
    expect([...experts.places()].filter((place) => place === expertPlaces.resident)).toHaveLength(4 * 5);
    await late.runner.step([9], NO_PENALTIES);
    const places = [...experts.places()];
    expect(places.filter((place) => place === expertPlaces.inUse)).toHaveLength(4 * 3);
    expect(places.filter((place) => place === expertPlaces.resident)).toHaveLength(4 * 2);
    late.dispose();
  });
});

describe('a step that fails while it waits', () => {
  test.each(['aborted', 'broken'] as const)(
    'is %s: the next goes on from what was kept, with the same bits',
    async (how) => {
      const running = await run('moe-f16', 3, { foresees: false });
      const { runner, model } = running;
      await runner.read(tokens(20));
      runner.prefix.keep();
      await runner.read(tokens(10, 50));
      const shelf = model.experts!.shelves[2];
      const read = shelf.read.bind(shelf);
      const controller = new AbortController();
      let failures = 1;
      let goOn = () => {};
      shelf.read = (...call) => {
        if (failures-- <= 0) return read(...call);
        if (how === 'broken') return Promise.reject(new QwenError('network', 'The server is gone.'));
        controller.abort();
        return new Promise<void>((resolve) => {
          goOn = resolve;
        }).then(() => read(...call));
      };
      const failing = async () => {
        for (let n = 0; failures > 0; n++) await runner.step([n], NO_PENALTIES, controller.signal);
      };
      await expect(failing()).rejects.toMatchObject(how === 'broken' ? { code: 'network' } : { name: 'AbortError' });
      expect(runner.state.position).toBe(20);
      goOn(); // what was being read is still worth having
      await runner.step([7], NO_PENALTIES);
      const found = bits(await runner.lastLogits());
      running.dispose();

      const all = await run('moe-f16', undefined);
      await all.runner.read(tokens(20));
      await all.runner.step([7], NO_PENALTIES);
      expect(found).toEqual(bits(await all.runner.lastLogits()));
      all.dispose();
    },
  );
});

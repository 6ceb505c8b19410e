import { expect, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { expectClose, openTestGpu, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal, randomSource } from '../../tools/testing/random.ts';
import { ABSENT } from '../experts/index.ts';
import { type GpuBuffer, Recorder } from '../gpu/index.ts';
import { matmulShape } from './matmul.ts';
import { expertGroups, maxExpertTiles, moeCombine, router, routingBytes } from './moe.ts';

const gpu = await openTestGpu();
const buffers = useBuffers(gpu);

const readWords = async (buffer: GpuBuffer, length: number) => new Uint32Array(await gpu.read(buffer), 0, length);

/**
 * qwen35.md §2.3: softmax over all, the k largest, divided by their sum. Equal logits: the lower index first.
 * @param row of the experts' logits, then the shared one's gate
 */
function routerReference(row: Float32Array, topK: number, scale: number) {
  const logits = row.subarray(0, -1);
  const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b).slice(0, topK);
  const most = logits[order[0]];
  const all = logits.reduce((sum, v) => sum + Math.exp(v - most), 0);
  const p = order.map((e) => Math.exp(logits[e] - most) / all);
  const total = p.reduce((a, b) => a + b);
  const shared = 1 / (1 + Math.exp(-row[logits.length]));
  return { experts: order, weights: [...p.map((v) => (v / total) * scale), shared] };
}

async function expectRouting(experts: Float32Array, expertCount: number, topK: number, scale = 1) {
  const tokens = experts.length / expertCount;
  const gates = randomNormal(8, tokens, 3);
  const logits = Float32Array.from({ length: tokens * (expertCount + 1) }, (_, i) => {
    const [t, e] = [Math.floor(i / (expertCount + 1)), i % (expertCount + 1)];
    return e < expertCount ? experts[t * expertCount + e] : gates[t];
  });
  const slotOf = Uint32Array.from({ length: expertCount }, (_, e) => (e * 7 + 3) % 1009);
  const pairs = tokens * topK;
  const out = { slots: buffers.output(pairs), experts: buffers.output(pairs), weights: buffers.output(pairs + tokens) };
  await run(gpu, (rec) =>
    router(rec, { logits: buffers.floats(logits), slotOf: buffers.words(slotOf), ...out }, tokens, {
      expertCount,
      topK,
      scale,
    }),
  );
  const expected = Array.from({ length: tokens }, (_, t) =>
    routerReference(logits.subarray(t * (expertCount + 1), (t + 1) * (expertCount + 1)), topK, scale),
  );
  const chosen = expected.flatMap((e) => e.experts);
  expect(Array.from(await readWords(out.experts, pairs))).toEqual(chosen);
  expect(Array.from(await readWords(out.slots, pairs))).toEqual(chosen.map((e) => slotOf[e]));
  expectClose(
    await readFloats(gpu, out.weights, pairs + tokens),
    expected.flatMap((e) => e.weights),
    1e-6,
  );
}

test.each([
  { expertCount: 9, topK: 3, tokens: 1 },
  { expertCount: 9, topK: 9, tokens: 5 },
  { expertCount: 64, topK: 3, tokens: 33 },
  { expertCount: 65, topK: 1, tokens: 7 },
  { expertCount: 256, topK: 8, tokens: 65 },
  { expertCount: 512, topK: 10, tokens: 5 },
])('routes $tokens tokens to $topK of $expertCount experts', async ({ expertCount, topK, tokens }) => {
  await expectRouting(randomNormal(expertCount, tokens * expertCount, 3), expertCount, topK);
});

test('scales the weights', async () => {
  await expectRouting(randomNormal(1, 3 * 64), 64, 3, 2.5);
});

test.each([
  { title: 'all are equal', expertCount: 512, value: () => 0.25 },
  { title: 'half are equal', expertCount: 512, value: (e: number) => e % 2 },
  { title: 'they fall into few values', expertCount: 64, value: (e: number) => (e * 5) % 3 },
  { title: 'equal ones are negative', expertCount: 9, value: (e: number) => (e < 2 ? -8 : -1) },
])('equal logits choose the lower index: $title', async ({ expertCount, value }) => {
  await expectRouting(
    Float32Array.from({ length: expertCount }, (_, e) => value(e)),
    expertCount,
    3,
  );
});

/** Routes on a step of the test's own. @returns the halt afterwards, and whether anything was routed */
async function routeOn(halt: number, layer: number, slotOf: number[]): Promise<{ halt: number; routed: boolean }> {
  const step = buffers.words([0, 2, halt, 0]);
  const experts = buffers.output(4 + 4);
  const recorder = new Recorder(gpu);
  const logits = buffers.floats([3, 2, 1, 0, 9, 3, 2, 1, 0, 9]);
  const tensors = {
    logits,
    slotOf: buffers.words(slotOf),
    slots: buffers.output(4),
    experts,
    weights: buffers.output(6),
  };
  router(recorder, tensors, 2, { expertCount: 4, topK: 2, layer, expertsAt: 4 });
  const program = buffers.own(await recorder.build('route', step));
  const encoder = gpu.device.createCommandEncoder();
  program.encode(encoder);
  gpu.device.queue.submit([encoder.finish()]);
  const words = [...(await readWords(experts, 8))];
  expect(words.slice(0, 4)).toEqual(Array(4).fill(0xffffffff));
  const routed = words[4] !== 0xffffffff;
  if (routed) expect(words.slice(4)).toEqual([0, 1, 0, 1]);
  return { halt: (await readWords(step, 4))[2], routed };
}

test.each([
  {
    title: 'leaves the step alone where all are in slots',
    halt: 0,
    slotOf: [4, 5, ABSENT, ABSENT],
    after: 0,
    routes: true,
  },
  { title: 'halts with its layer where one is absent', halt: 0, slotOf: [4, ABSENT, 0, 0], after: 8, routes: true },
  { title: 'routes on where its own layer halts', halt: 8, slotOf: [4, 5, 0, 0], after: 8, routes: true },
  { title: 'does nothing behind another layer’s halt', halt: 7, slotOf: [4, ABSENT, 0, 0], after: 7, routes: false },
])('the router $title', async ({ halt, slotOf, after, routes }) => {
  expect(await routeOn(halt, 7, slotOf)).toEqual({ halt: after, routed: routes });
});

test('logits of large size give weights of 0 and 1, not of nothing', async () => {
  const logits = Float32Array.from({ length: 2 * 9 }, (_, i) => (i % 9 === 4 ? 900 : -900 - i));
  await expectRouting(logits, 9, 3);
});

test.each([
  { title: 'one pair', slots: 9, pairs: 1, slotOf: () => 8 },
  { title: 'all pairs on one expert', slots: 512, pairs: 100, slotOf: () => 77 },
  { title: 'a tile exactly full', slots: 4, pairs: 64, slotOf: (p: number) => p % 2 },
  { title: 'each pair on another expert', slots: 512, pairs: 512, slotOf: (p: number) => (p * 5) % 512 },
  { title: 'random experts', slots: 64, pairs: 2570, slotOf: undefined },
  { title: 'pairs of other waves left out', slots: 4, pairs: 90, slotOf: (p: number) => (p % 3 ? ABSENT : p % 4) },
])('groups pairs by expert into tiles: $title', async ({ slots, pairs, slotOf }) => {
  const shape = matmulShape(gpu, 'narrow', false);
  const tile = shape.tokens;
  const random = randomSource(3);
  const chosen = Array.from({ length: pairs }, (_, p) => slotOf?.(p) ?? Math.floor(random() ** 2 * slots));
  const routing = buffers.output(routingBytes(pairs, slots, tile) / 4);
  const maxTiles = maxExpertTiles(pairs, slots, tile);
  await run(gpu, (rec) => {
    const routed = expertGroups(rec, { slots: buffers.words(chosen), pairs, xShare: 1 }, slots, routing, shape);
    expect(routed.maxTiles).toBe(maxTiles);
  });
  const words = await readWords(routing, 4 * maxTiles + pairs);
  const order = words.subarray(4 * maxTiles);
  const seen: number[] = [];
  for (let t = 0; t < maxTiles; t++) {
    const [slot, first, count] = words.subarray(4 * t, 4 * t + 3);
    expect(count).toBeLessThanOrEqual(tile);
    const members = [...order.subarray(first, first + count)];
    expect(members.every((p) => chosen[p] === slot)).toBe(true);
    seen.push(...members);
  }
  const here = [...chosen.keys()].filter((p) => chosen[p] !== ABSENT);
  expect(seen.sort((a, b) => a - b)).toEqual(here);
});

test.each([
  { tokens: 1, hidden: 32, topK: 1 },
  { tokens: 5, hidden: 260, topK: 3 },
  { tokens: 33, hidden: 2048, topK: 10 },
])('adds $topK experts and the shared one to $tokens rows of $hidden', async ({ tokens, hidden, topK }) => {
  const routed = randomNormal(1, tokens * topK * hidden);
  const weights = randomNormal(2, tokens * (topK + 1), 0.3);
  const shared = randomNormal(3, tokens * hidden);
  const before = randomNormal(5, tokens * hidden);
  const x = buffers.floats(before);
  await run(gpu, (rec) =>
    moeCombine(
      rec,
      {
        routed: buffers.floats(routed),
        weights: buffers.floats(weights),
        shared: buffers.floats(shared),
        x,
      },
      tokens,
      { hidden, topK },
    ),
  );
  const expected = Array.from(before, (v, i) => {
    const [t, c] = [Math.floor(i / hidden), i % hidden];
    const at = t * (topK + 1);
    let sum = v + weights[at + topK] * shared[i];
    for (let k = 0; k < topK; k++) sum += weights[at + k] * routed[(t * topK + k) * hidden + c];
    return sum;
  });
  expectClose(await readFloats(gpu, x, expected.length), expected);
});

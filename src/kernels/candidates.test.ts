import { expect, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { openTestGpu, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal } from '../../tools/testing/random.ts';
import {
  CANDIDATE_CAPACITY,
  CANDIDATES,
  candidateSizes,
  candidates,
  likeliest,
  PENALTY_CAPACITY,
  readCandidates,
} from './candidates.ts';

const gpu = await openTestGpu();
const buffers = useBuffers(gpu);

interface Penalty {
  id: number;
  scale: number;
  shift: number;
}

/** The list as the kernel reads it: count, then id, scale and shift of each entry. */
function penaltyList(penalties: readonly Penalty[]): Uint32Array {
  const words = new Uint32Array(candidateSizes.penalties / 4);
  const floats = new Float32Array(words.buffer);
  words[0] = penalties.length;
  penalties.forEach(({ id, scale, shift }, i) => {
    words[1 + 3 * i] = id;
    floats.set([scale, shift], 2 + 3 * i);
  });
  return words;
}

async function search(
  logits: Float32Array,
  penalties: readonly Penalty[] = [],
  wanted = CANDIDATES,
  mask?: Uint32Array,
) {
  const vocabulary = logits.length;
  const tensors = {
    mask: mask && buffers.words(mask),
    logits: buffers.floats(logits),
    penalties: buffers.words(penaltyList(penalties)),
    partials: buffers.output(candidateSizes.partials(vocabulary) / 4),
    histograms: buffers.output(candidateSizes.histograms / 4),
    output: buffers.output(candidateSizes.output / 4),
  };
  // Twice: what the first run leaves in the scratch buffers must not matter to the second. Penalties are in place.
  await run(gpu, (rec) => candidates(rec, { ...tensors, logits: buffers.floats(logits) }, vocabulary, wanted));
  const token = buffers.output(1);
  await run(gpu, (rec) => {
    candidates(rec, tensors, vocabulary, wanted);
    likeliest(rec, tensors.output, token);
  });
  const list = readCandidates(await gpu.read(tensors.output));
  const order = Array.from(list.ids.keys()).sort(
    (a, b) => list.logits[b] - list.logits[a] || list.ids[a] - list.ids[b],
  );
  const [found] = new Uint32Array(await gpu.read(token));
  expect(found).toBe(list.ids[order[0]]);
  return { ...list, token: found, penalised: await readFloats(gpu, tensors.logits, vocabulary) };
}

function penalise(logits: Float32Array, penalties: readonly Penalty[]): Float32Array {
  const out = logits.slice();
  for (const { id, scale, shift } of penalties) {
    out[id] = Math.fround(Math.fround(out[id] > 0 ? out[id] / scale : out[id] * scale) + shift);
  }
  return out;
}

/** Ids by falling logit. */
function sorted(logits: Float32Array): number[] {
  return Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
}

function logSumExp(logits: Float32Array): number {
  const most = logits.reduce((a, b) => Math.max(a, b));
  return most + Math.log(logits.reduce((sum, v) => sum + Math.exp(v - most), 0));
}

/** Holds of every list: no id twice, logits of the ids, each of the k largest there, and nothing that is far below. */
function expectCandidates(
  list: { ids: Uint32Array; logits: Float32Array },
  logits: Float32Array,
  wanted: number,
): void {
  const { ids } = list;
  expect(ids.length).toBeLessThanOrEqual(CANDIDATE_CAPACITY);
  expect(new Set(ids).size).toBe(ids.length);
  expect(Array.from(list.logits)).toEqual(Array.from(ids, (id) => logits[id]));
  const order = sorted(logits);
  const k = Math.min(wanted, logits.length);
  const chosen = new Set(ids);
  const kth = logits[order[k - 1]];
  const missing = order.filter((id) => logits[id] > kth && !chosen.has(id));
  expect(missing).toEqual([]);
  expect(ids.length).toBeGreaterThanOrEqual(k);
  // 22 bits of a float are its sign, exponent and 13 bits of its mantissa.
  const lowest = list.logits.reduce((a, b) => Math.min(a, b));
  expect(kth - lowest || 0).toBeLessThanOrEqual(Math.abs(kth) * 2 ** -12);
}

const vocabularies = [1, 50, 64, 65, 757, 2048, 2049, 50_000];
test.each(vocabularies)('finds the largest of %i logits and the log-sum-exp of all', async (vocabulary) => {
  const logits = randomNormal(vocabulary, vocabulary, 3);
  const list = await search(logits);
  expectCandidates(list, logits, CANDIDATES);
  // No ties in the prefix here, or few: the list is the exact one, perhaps with a neighbour.
  expect(list.ids.length).toBeLessThanOrEqual(Math.min(CANDIDATES, vocabulary) + 4);
  expect(Math.abs(list.logSumExp - logSumExp(logits))).toBeLessThanOrEqual(
    2e-6 * Math.max(1, Math.abs(list.logSumExp)),
  );
});

test.each([
  { title: 'all negative', values: (i: number) => -1 - ((i * 7919) % 5000) / 50 },
  { title: 'of both signs around zero', values: (i: number) => ((i * 7919) % 5000) / 5000 - 0.99 },
  { title: 'large', values: (i: number) => ((i * 7919) % 5000) * 20 - 50_000 },
  { title: 'tiny', values: (i: number) => (((i * 7919) % 5000) - 2500) * 1e-30 },
])('orders logits that are $title', async ({ values }) => {
  const logits = Float32Array.from({ length: 5000 }, (_, i) => values(i));
  const list = await search(logits);
  expectCandidates(list, logits, CANDIDATES);
  expect(Math.abs(list.logSumExp - logSumExp(logits))).toBeLessThanOrEqual(
    2e-6 * Math.max(1, Math.abs(list.logSumExp)),
  );
});

test.each([1, 20, 64, 128])('finds the %i largest wanted', async (wanted) => {
  const logits = randomNormal(4, 3001, 3);
  const list = await search(logits, [], wanted);
  expectCandidates(list, logits, wanted);
});

test('equal logits fill the list and no more', async () => {
  const logits = new Float32Array(3001).fill(1.5);
  const list = await search(logits);
  expect(list.ids.length).toBe(CANDIDATE_CAPACITY);
  expect(new Set(list.ids).size).toBe(CANDIDATE_CAPACITY);
  expect(Math.abs(list.logSumExp - (1.5 + Math.log(3001)))).toBeLessThanOrEqual(1e-5);
});

test('ties at the edge never displace what is larger', async () => {
  // 10 larger ones at the end, where they come last; the wanted-th is one of thousands that are equal.
  const logits = new Float32Array(9001).fill(-2);
  for (let i = 0; i < 10; i++) logits[8990 + i] = i;
  const list = await search(logits);
  expect(list.ids.length).toBe(CANDIDATE_CAPACITY);
  const largest = Array.from(list.ids).filter((id) => id >= 8990 && id < 9000);
  expect(largest.sort((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, i) => 8990 + i));
});

test.each([1, 2, 40, 100])('of %i equal logits that are the largest, the first is the likeliest', async (count) => {
  const logits = randomNormal(6, 5000, 1);
  for (let i = 0; i < count; i++) logits[4990 - 47 * i] = 9;
  const list = await search(logits);
  expect(list.ids.filter((_, i) => list.logits[i] === 9)).toHaveLength(count);
  expect(list.token).toBe(4990 - 47 * (count - 1));
});

test('a mask of −inf leaves the few tokens allowed', async () => {
  const allowed = [3, 2047, 2048, 4999];
  const logits = Float32Array.from({ length: 5000 }, (_, i) =>
    allowed.includes(i) ? i / 1000 : Number.NEGATIVE_INFINITY,
  );
  const list = await search(logits);
  expect(allowed.every((id) => list.ids.includes(id))).toBe(true);
  expect(Array.from(list.logits)).toEqual(Array.from(list.ids, (id) => logits[id]));
  expect(Math.abs(list.logSumExp - logSumExp(logits))).toBeLessThanOrEqual(1e-5);
});

test.each([
  [1, 1],
  [33, 5],
  [757, 3],
  [2049, 64],
  [9001, 100],
  [50_000, 20_000],
])('of %i logits a mask leaves %i, whatever penalties say of the others', async (vocabulary, count) => {
  const logits = randomNormal(5, vocabulary, 3);
  const mask = new Uint32Array(Math.ceil(vocabulary / 32)).fill(0);
  const allowed = Array.from({ length: count }, (_, i) => Math.floor((i * vocabulary) / count));
  for (const id of allowed) mask[id >>> 5] |= 1 << (id & 31);
  const order = sorted(logits);
  const penalties = [
    { id: order[0], scale: 1, shift: 100 },
    { id: order.at(-1)!, scale: 2, shift: 50 },
    { id: allowed[count >> 1], scale: 1.5, shift: -1 },
  ];
  const distinct = penalties.filter(({ id }, i) => penalties.findIndex((other) => other.id === id) === i);
  const list = await search(logits, distinct, CANDIDATES, mask);
  const penalised = penalise(logits, distinct);
  const kept = allowed.map((id) => list.penalised[id]);
  const expected = allowed.map((id) => penalised[id]);
  expect(kept.reduce((most, v, i) => Math.max(most, Math.abs(v - expected[i])), 0)).toBeLessThanOrEqual(4e-6);
  // The others are below anything a model says.
  const lowest = list.penalised.filter((_, id) => ((mask[id >>> 5] >>> (id & 31)) & 1) === 0);
  expect(lowest.every((logit) => logit === Math.fround(-3.4e38))).toBe(true);
  expectCandidates(list, list.penalised, CANDIDATES);
  const best = [...allowed].sort((a, b) => penalised[b] - penalised[a]).slice(0, Math.min(CANDIDATES, count) - 1);
  expect(best.every((id) => list.ids.includes(id))).toBe(true);
  // Of the raw logits of all.
  expect(Math.abs(list.logSumExp - logSumExp(logits))).toBeLessThanOrEqual(1e-5);
});

test.each([1, 3, 1000, PENALTY_CAPACITY])(
  'penalises %i ids before the search, after the log-sum-exp',
  async (count) => {
    const logits = randomNormal(8, 9001, 3);
    const order = sorted(logits);
    // Every other one of the largest, so that the list changes.
    const penalties = Array.from({ length: count }, (_, i) => ({
      id: order[2 * i],
      scale: 1 + (i % 7) / 4,
      shift: -(i % 5),
    }));
    const list = await search(logits, penalties);
    const expected = penalise(logits, penalties);
    const worst = expected.reduce((most, v, i) => Math.max(most, Math.abs(list.penalised[i] - v)), 0);
    expect(worst).toBeLessThanOrEqual(4e-6); // a division may be off by 2.5 units of the last place of logits up to 15
    expectCandidates(list, list.penalised, CANDIDATES);
    expect(Math.abs(list.logSumExp - logSumExp(logits))).toBeLessThanOrEqual(1e-5);
  },
);

test('a bias can forbid a token and force another', async () => {
  const logits = randomNormal(8, 2500, 3);
  const [best] = sorted(logits);
  const list = await search(logits, [
    { id: best, scale: 1, shift: Number.NEGATIVE_INFINITY },
    { id: 17, scale: 1, shift: 100 },
  ]);
  const top = list.ids[list.logits.indexOf(Math.max(...list.logits))];
  expect(top).toBe(17);
  expect(list.ids).not.toContain(best);
});

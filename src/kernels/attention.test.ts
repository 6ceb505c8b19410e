import { describe, expect, test } from 'vitest';
import { useBuffers } from '../../tools/testing/buffers.ts';
import { half } from '../../tools/testing/dequantize.ts';
import { expectClose, openTestGpu, readFloats, run } from '../../tools/testing/kernels.ts';
import { randomNormal, randomSource, toHalf } from '../../tools/testing/random.ts';
import { type GpuBuffer, Recorder } from '../gpu/index.ts';
import {
  type AttentionDims,
  type AttentionPlan,
  attention,
  attentionPlan,
  attentionRope,
  type KvCache,
  kvRowBytes,
  MAX_PARTIAL_ROWS,
} from './attention.ts';

const gpu = await openTestGpu();
const buffers = useBuffers(gpu);

const EPS = 1e-6;
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** `values` as the cache holds them: f32, or halves packed two a word. */
function cacheBuffer(values: Float32Array, f16: boolean): GpuBuffer {
  if (!f16) return buffers.floats(values);
  return buffers.own(gpu.upload('halves', Uint16Array.from(values, toHalf)));
}

async function readCache(buffer: GpuBuffer, length: number, f16: boolean): Promise<Float32Array> {
  if (!f16) return readFloats(gpu, buffer, length);
  return Float32Array.from(new Uint16Array(await gpu.read(buffer), 0, length), half);
}

const rounded = (values: Float32Array, f16: boolean) => (f16 ? values.map((v) => half(toHalf(v))) : values);

// ── attention_rope ──

/** A row of D, normed and turned (qwen35.md §2.1). `turn` holds cos and sin of the row's token. */
function normedAndTurned(row: Float32Array, weight: Float32Array, turn: Float32Array): number[] {
  const mean = row.reduce((sum, v) => sum + v * v, 0) / row.length;
  const n = Array.from(row, (v, i) => (v / Math.sqrt(mean + EPS)) * weight[i]);
  const pairs = turn.length / 2;
  const out = [...n];
  for (let i = 0; i < pairs; i++) {
    const [cos, sin] = [turn[2 * i], turn[2 * i + 1]];
    out[i] = n[i] * cos - n[i + pairs] * sin;
    out[i + pairs] = n[i + pairs] * cos + n[i] * sin;
  }
  return out;
}

interface RopeCase extends AttentionDims {
  tokens: number;
  position: number;
  maxBoundHeads?: number;
}

const ropeCases: RopeCase[] = [
  { heads: 1, kvHeads: 1, headDim: 256, rotaryDim: 64, tokens: 1, position: 0 },
  { heads: 8, kvHeads: 2, headDim: 256, rotaryDim: 64, tokens: 5, position: 0 },
  { heads: 6, kvHeads: 3, headDim: 256, rotaryDim: 64, tokens: 33, position: 67 },
  { heads: 6, kvHeads: 3, headDim: 256, rotaryDim: 64, tokens: 3, position: 67, maxBoundHeads: 1 },
  { heads: 6, kvHeads: 3, headDim: 256, rotaryDim: 64, tokens: 3, position: 67, maxBoundHeads: 2 },
  { heads: 4, kvHeads: 2, headDim: 128, rotaryDim: 32, tokens: 65, position: 1 },
  { heads: 4, kvHeads: 2, headDim: 128, rotaryDim: 128, tokens: 2, position: 9 },
];
describe.each([false, true])('attention_rope, f16 cache: %s', (f16) => {
  test.each(ropeCases)(
    'turns $tokens tokens at $position: $heads/$kvHeads heads of $headDim, $rotaryDim turned, $maxBoundHeads bound',
    async (shape) => {
      const { heads, kvHeads, headDim, rotaryDim, tokens, position, maxBoundHeads } = shape;
      const capacity = position + tokens + 3;
      const qg = randomNormal(1, tokens * heads * 2 * headDim, 2);
      const kv = randomNormal(2, tokens * 2 * kvHeads * headDim, 2);
      const norms = randomNormal(3, 2 * headDim, 0.3, 1);
      const random = randomSource(4);
      const rope = new Float32Array(tokens * rotaryDim);
      for (let i = 0; i < rope.length; i += 2) {
        const angle = 1000 * random();
        rope.set([Math.cos(angle), Math.sin(angle)], i);
      }
      const before = rounded(randomNormal(5, kvHeads * capacity * headDim), f16);
      const cache: KvCache = {
        k: cacheBuffer(before, f16),
        v: cacheBuffer(before, f16),
        capacity,
        f16,
        maxBoundHeads,
      };
      const q = buffers.output(tokens * heads * headDim);
      const tensors = {
        qg: buffers.floats(qg),
        kv: buffers.floats(kv),
        norms: buffers.floats(norms),
        rope: buffers.floats(rope),
        q,
      };
      await run(gpu, (rec) => attentionRope(rec, shape, tensors, cache, tokens, EPS), { position, tokens });

      const [k, v] = [Float64Array.from(before), Float64Array.from(before)];
      const expectedQ: number[] = [];
      for (let t = 0; t < tokens; t++) {
        const turn = rope.subarray(t * rotaryDim, (t + 1) * rotaryDim);
        for (let h = 0; h < heads; h++) {
          const at = (t * heads + h) * 2 * headDim;
          expectedQ.push(...normedAndTurned(qg.subarray(at, at + headDim), norms.subarray(0, headDim), turn));
        }
        for (let h = 0; h < kvHeads; h++) {
          const row = (part: number) => {
            const at = ((2 * t + part) * kvHeads + h) * headDim;
            return kv.subarray(at, at + headDim);
          };
          const cached = (h * capacity + position + t) * headDim;
          k.set(normedAndTurned(row(0), norms.subarray(headDim), turn), cached);
          v.set(row(1), cached);
        }
      }
      expectClose(await readFloats(gpu, q, expectedQ.length), expectedQ);
      // Packing may round a half either way: an error of 2^-10 of a value, and values reach 8 times their rms.
      const tolerance = f16 ? 8 * 2 ** -10 : 1e-5;
      expectClose(await readCache(cache.k as GpuBuffer, k.length, f16), k, tolerance);
      expectClose(await readCache(cache.v as GpuBuffer, v.length, f16), v, tolerance);
    },
  );
});

// ── attention and attention_combine ──

interface AttentionCase {
  title: string;
  heads: number;
  kvHeads: number;
  headDim?: number;
  tokens: number;
  position: number;
  capacity?: number;
  plan?: AttentionPlan;
  maxBoundHeads?: number;
  /** Standard deviation of q and of k; scores have its square. */
  size?: number;
  tolerance?: number;
}

/** Causal softmax attention times sigmoid(gate), in float64. */
function reference(
  { heads, kvHeads, headDim = 256, tokens, position, capacity = 0 }: AttentionCase,
  q: Float32Array,
  qg: Float32Array,
  k: Float32Array,
  v: Float32Array,
): Float64Array {
  const y = new Float64Array(tokens * heads * headDim);
  for (let t = 0; t < tokens; t++) {
    for (let h = 0; h < heads; h++) {
      const row = (t * heads + h) * headDim;
      const cached = Math.floor(h / (heads / kvHeads)) * capacity * headDim;
      const scores = Array.from({ length: position + t + 1 }, (_, j) => {
        let sum = 0;
        for (let d = 0; d < headDim; d++) sum += q[row + d] * k[cached + j * headDim + d];
        return sum / Math.sqrt(headDim);
      });
      const most = scores.reduce((a, b) => Math.max(a, b));
      const weights = scores.map((s) => Math.exp(s - most));
      const total = weights.reduce((a, b) => a + b);
      weights.forEach((w, j) => {
        for (let d = 0; d < headDim; d++) y[row + d] += (w / total) * v[cached + j * headDim + d];
      });
      for (let d = 0; d < headDim; d++) y[row + d] *= sigmoid(qg[2 * row + headDim + d]);
    }
  }
  return y;
}

const cases: AttentionCase[] = [
  { title: 'the first token', heads: 1, kvHeads: 1, tokens: 1, position: 0 },
  { title: 'the first token of a long cache', heads: 8, kvHeads: 2, tokens: 1, position: 0, capacity: 1000 },
  { title: 'decoding far on', heads: 8, kvHeads: 2, tokens: 1, position: 301 },
  { title: 'decoding in several splits', heads: 4, kvHeads: 2, tokens: 1, position: 700, capacity: 1100 },
  {
    title: 'splits without a visible key',
    heads: 2,
    kvHeads: 1,
    tokens: 3,
    position: 70,
    capacity: 256,
    plan: { splits: 4, splitLength: 64 },
  },
  {
    title: 'a split that begins at the last token',
    heads: 2,
    kvHeads: 1,
    tokens: 2,
    position: 63,
    capacity: 128,
    plan: { splits: 2, splitLength: 64 },
  },
  {
    title: 'splits that are no multiple of a tile',
    heads: 2,
    kvHeads: 1,
    tokens: 5,
    position: 200,
    capacity: 300,
    plan: { splits: 3, splitLength: 100 },
  },
  { title: '16 heads a kv head', heads: 32, kvHeads: 2, tokens: 1, position: 130 },
  { title: '16 heads a kv head, several tokens', heads: 16, kvHeads: 1, tokens: 5, position: 61 },
  { title: '6 heads a kv head', heads: 24, kvHeads: 4, tokens: 3, position: 61 },
  { title: 'a prompt from its start', heads: 4, kvHeads: 2, tokens: 65, position: 0 },
  { title: 'a prompt that goes on', heads: 8, kvHeads: 1, tokens: 33, position: 129 },
  { title: 'a pass of more than two hundred tokens', heads: 2, kvHeads: 2, headDim: 128, tokens: 257, position: 31 },
  { title: 'heads of 128', heads: 8, kvHeads: 4, headDim: 128, tokens: 9, position: 100 },
  { title: 'one kv head a binding', heads: 6, kvHeads: 3, tokens: 5, position: 70, maxBoundHeads: 1 },
  { title: 'two kv heads a binding', heads: 6, kvHeads: 3, tokens: 1, position: 270, maxBoundHeads: 2 },
  // Scores of standard deviation 80 reach ±250. Their f32 rounding (2^-24 of the terms' size, a few times) is the relative
  // error of a weight.
  { title: 'large scores', heads: 4, kvHeads: 2, tokens: 7, position: 150, size: 9, tolerance: 2e-4 },
  {
    title: 'large scores in splits',
    heads: 4,
    kvHeads: 2,
    tokens: 1,
    position: 150,
    plan: { splits: 4, splitLength: 41 },
    size: 9,
    tolerance: 2e-4,
  },
];
describe.each([false, true])('attention, f16 cache: %s', (f16) => {
  test.each(cases)('$title', async (shape) => {
    const { heads, kvHeads, headDim = 256, tokens, position, plan, maxBoundHeads, size = 1, tolerance } = shape;
    const capacity = shape.capacity ?? position + tokens + 2;
    const q = randomNormal(1, tokens * heads * headDim, size);
    const qg = randomNormal(2, tokens * heads * 2 * headDim);
    const k = rounded(randomNormal(3, kvHeads * capacity * headDim, size), f16);
    const v = rounded(randomNormal(4, kvHeads * capacity * headDim), f16);
    // What lies beyond the last token must not be read into anything: old conversations leave such values.
    for (let h = 0; h < kvHeads; h++) {
      const [first, end] = [h * capacity + position + tokens, (h + 1) * capacity].map((row) => row * headDim);
      k.fill(60_000, first, end);
      v.fill(60_000, first, end);
    }
    const cache = { k: cacheBuffer(k, f16), v: cacheBuffer(v, f16), capacity, f16, maxBoundHeads };
    const { splits } = plan ?? attentionPlan(tokens, capacity);
    const y = buffers.output(tokens * heads * headDim);
    const tensors = {
      q: buffers.floats(q),
      qg: buffers.floats(qg),
      partial: buffers.output(splits * tokens * heads * headDim),
      sums: buffers.output(splits * tokens * heads * 2),
      y,
    };
    const dims = { heads, kvHeads, headDim, rotaryDim: 64 };
    await run(gpu, (rec) => attention(rec, dims, tensors, cache, tokens, plan), { position, tokens });
    const expected = reference({ ...shape, capacity }, q, qg, k, v);
    expectClose(await readFloats(gpu, y, expected.length), expected, tolerance);
  });
});

test.each([1, 255, 256, 257, 4096, 262_144])(
  'splits cover a context of %i tokens within the memory for them',
  (capacity) => {
    for (const tokens of [1, 4, 5, 256]) {
      const { splits, splitLength } = attentionPlan(tokens, capacity);
      expect(splits * splitLength).toBeGreaterThanOrEqual(capacity);
      expect((splits - 1) * splitLength).toBeLessThan(capacity); // no split is always empty
      expect(splits * tokens).toBeLessThanOrEqual(Math.max(MAX_PARTIAL_ROWS, tokens));
    }
  },
);

test('keys and values of one token take the bytes of their elements', () => {
  const dims = { heads: 8, kvHeads: 2, headDim: 256, rotaryDim: 64 };
  expect(kvRowBytes(dims, false)).toBe(1024);
  expect(kvRowBytes(dims, true)).toBe(512);
});

test('a context whose single head exceeds the binding limit is refused', () => {
  const capacity = gpu.limits.maxStorageBufferBindingSize / 1024 + 1;
  const none = buffers.output(4);
  const tensors = { q: none, qg: none, partial: none, sums: none, y: none };
  const dims = { heads: 1, kvHeads: 1, headDim: 256, rotaryDim: 64 };
  expect(() => attention(new Recorder(gpu), dims, tensors, { k: none, v: none, capacity, f16: false }, 1)).toThrow(
    /contextLength/,
  );
});

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
  type KvType,
  kvHeadBytes,
  kvRowBytes,
  MAX_PARTIAL_ROWS,
} from './attention.ts';

const gpu = await openTestGpu();
const buffers = useBuffers(gpu);

const EPS = 1e-6;
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

const types: readonly KvType[] = ['f32', 'f16', 'q8_0'];
const BLOCK = 32;

/** A row of 32 quantised as ggml's q8_0 does it: the scale in f32, and the quotients that are to be rounded. */
function quantized(block: ArrayLike<number>): { scale: number; quotients: number[] } {
  const scale = Math.fround(Array.from(block).reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 127);
  return { scale, quotients: Array.from(block, (v) => (scale === 0 ? 0 : v / scale)) };
}

interface Rows {
  headDim: number;
  capacity: number;
}

/** Values `[heads, capacity, D]` as the cache holds them. */
function cacheBuffer(values: Float32Array, type: KvType, { headDim, capacity }: Rows): GpuBuffer {
  const rowBytes = kvRowBytes({ headDim }, type);
  const headBytes = kvHeadBytes({ headDim }, type, capacity);
  const bytes = new Uint8Array((values.length / (capacity * headDim)) * headBytes);
  const view = new DataView(bytes.buffer);
  for (let row = 0; row < values.length / headDim; row++) {
    const at = Math.floor(row / capacity) * headBytes + (row % capacity) * rowBytes;
    const elements = values.subarray(row * headDim, (row + 1) * headDim);
    if (type === 'f32') elements.forEach((v, i) => void view.setFloat32(at + 4 * i, v, true));
    if (type === 'f16') elements.forEach((v, i) => void view.setUint16(at + 2 * i, toHalf(v), true));
    if (type !== 'q8_0') continue;
    for (let i = 0; i < headDim; i += BLOCK) {
      const { scale, quotients } = quantized(elements.subarray(i, i + BLOCK));
      quotients.forEach((v, j) => void view.setInt8(at + i + j, Math.round(v)));
      view.setUint16(at + headDim + i / 16, toHalf(scale), true);
    }
  }
  return buffers.own(gpu.upload('cache', bytes));
}

interface CachedRows {
  values: Float32Array;
  /** Of q8_0: the quants, and the bits of the scales. */
  quants: Int8Array;
  scales: Uint16Array;
}

async function readCache(buffer: GpuBuffer, length: number, type: KvType, rows: Rows): Promise<CachedRows> {
  const { headDim, capacity } = rows;
  const view = new DataView(await gpu.read(buffer));
  const rowBytes = kvRowBytes({ headDim }, type);
  const headBytes = kvHeadBytes({ headDim }, type, capacity);
  const quants = new Int8Array(length);
  const scales = new Uint16Array(length / BLOCK);
  const values = Float32Array.from({ length }, (_, i) => {
    const row = Math.floor(i / headDim);
    const at = Math.floor(row / capacity) * headBytes + (row % capacity) * rowBytes;
    const d = i % headDim;
    if (type === 'f32') return view.getFloat32(at + 4 * d, true);
    if (type === 'f16') return half(view.getUint16(at + 2 * d, true));
    quants[i] = view.getInt8(at + d);
    const bits = view.getUint16(at + headDim + 2 * Math.floor(d / BLOCK), true);
    scales[Math.floor(i / BLOCK)] = bits;
    return quants[i] * half(bits);
  });
  return { values, quants, scales };
}

/** Values after a round trip through the cache's type. */
function rounded(values: Float32Array, type: KvType): Float32Array {
  if (type === 'f32') return values;
  if (type === 'f16') return values.map((v) => half(toHalf(v)));
  const out = new Float32Array(values.length);
  for (let i = 0; i < values.length; i += BLOCK) {
    const { scale, quotients } = quantized(values.subarray(i, i + BLOCK));
    out.set(
      quotients.map((v) => Math.round(v) * half(toHalf(scale))),
      i,
    );
  }
  return out;
}

/** Every quant is the reference's, and every scale, but where f32 arithmetic may fall on the other side of a tie. */
function expectQuantized({ quants, scales }: CachedRows, expected: Float64Array): void {
  const wrong: string[] = [];
  for (let block = 0; block < scales.length; block++) {
    const { scale, quotients } = quantized(expected.subarray(block * BLOCK, (block + 1) * BLOCK));
    if (Math.abs(scales[block] - toHalf(scale)) > 1) wrong.push(`scale of block ${block}`);
    quotients.forEach((v, i) => {
      // The row itself errs by 1e-5 of its rms, some 1e-3 of a step of 1/127 of its maximum.
      const nearTie = Math.abs(Math.abs(v % 1) - 0.5) < 2e-3;
      const off = Math.abs(quants[block * BLOCK + i] - Math.round(v));
      if (off > (nearTie ? 1 : 0)) wrong.push(`quant ${i} of block ${block}`);
    });
  }
  expect(wrong).toEqual([]);
}

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
  { heads: 2, kvHeads: 1, headDim: 32, rotaryDim: 16, tokens: 3, position: 2 },
];
describe.each(types)('attention_rope into a cache of %s', (type) => {
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
      const rows = { headDim, capacity };
      const before = rounded(randomNormal(5, kvHeads * capacity * headDim), type);
      const cache: KvCache = {
        k: cacheBuffer(before, type, rows),
        v: cacheBuffer(before, type, rows),
        capacity,
        type,
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
      await run(gpu, (rec) => attentionRope(rec, shape, tensors, cache, tokens, EPS), { position });

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
      for (const [buffer, expected] of [
        [cache.k, k],
        [cache.v, v],
      ] as const) {
        const cached = await readCache(buffer as GpuBuffer, expected.length, type, rows);
        // Packing may round a half either way: an error of 2^-10 of a value, and values reach 8 times their rms. A quant errs
        // by half a step, which is 1/127 of the largest of 32 (some 2.5 times the rms, 8 at most).
        const tolerances = { f32: 1e-5, f16: 8 * 2 ** -10, q8_0: 8 / 254 + 1e-3 };
        expectClose(cached.values, expected, tolerances[type]);
        if (type === 'q8_0') {
          for (let h = 0; h < kvHeads; h++) {
            const [first, end] = [position, position + tokens].map((t) => (h * capacity + t) * headDim);
            const written = {
              ...cached,
              quants: cached.quants.subarray(first, end),
              scales: cached.scales.subarray(first / BLOCK, end / BLOCK),
            };
            expectQuantized(written, expected.subarray(first, end));
          }
        }
      }
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
  { title: 'heads of 32', heads: 2, kvHeads: 1, headDim: 32, tokens: 3, position: 40 },
  { title: 'heads of 64', heads: 3, kvHeads: 1, headDim: 64, tokens: 1, position: 301 },
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
/** Of the packed types: what differs is how rows are read, not who reads them. Each further shape is a long compilation. */
const FEW = ['decoding in several splits', 'a prompt that goes on', 'heads of 64', 'one kv head a binding'];

describe.each(types)('attention over a cache of %s', (type) => {
  test.each(type === 'f32' ? cases : cases.filter(({ title }) => FEW.includes(title)))('$title', async (shape) => {
    const { heads, kvHeads, headDim = 256, tokens, position, plan, maxBoundHeads, size = 1, tolerance } = shape;
    const capacity = shape.capacity ?? position + tokens + 2;
    const q = randomNormal(1, tokens * heads * headDim, size);
    const qg = randomNormal(2, tokens * heads * 2 * headDim);
    const k = rounded(randomNormal(3, kvHeads * capacity * headDim, size), type);
    const v = rounded(randomNormal(4, kvHeads * capacity * headDim), type);
    // What lies beyond the last token must not be read into anything: old conversations leave such values.
    for (let h = 0; h < kvHeads; h++) {
      const [first, end] = [h * capacity + position + tokens, (h + 1) * capacity].map((row) => row * headDim);
      k.fill(60_000, first, end);
      v.fill(60_000, first, end);
    }
    const rows = { headDim, capacity };
    const cache = { k: cacheBuffer(k, type, rows), v: cacheBuffer(v, type, rows), capacity, type, maxBoundHeads };
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
    await run(gpu, (rec) => attention(rec, dims, tensors, cache, tokens, plan), { position });
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
  expect(kvRowBytes(dims, 'f32')).toBe(1024);
  expect(kvRowBytes(dims, 'f16')).toBe(512);
  expect(kvRowBytes(dims, 'q8_0')).toBe(272); // 34 for each 32, as in a file
  expect(kvRowBytes({ headDim: 128 }, 'q8_0')).toBe(144); // padded to 16
});

test('a context whose single head exceeds the binding limit is refused', () => {
  const capacity = gpu.limits.maxStorageBufferBindingSize / 1024 + 1;
  const none = buffers.output(4);
  const tensors = { q: none, qg: none, partial: none, sums: none, y: none };
  const dims = { heads: 1, kvHeads: 1, headDim: 256, rotaryDim: 64 };
  expect(() => attention(new Recorder(gpu), dims, tensors, { k: none, v: none, capacity, type: 'f32' }, 1)).toThrow(
    /contextLength/,
  );
});

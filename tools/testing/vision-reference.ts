/** What a vision tower makes of a picture, in float64 and written from the description: qwen35.md §7. */
import type { Weights } from '../../src/weights/types.ts';
import { dequantize } from './dequantize.ts';

const PATCH = 16;
const MERGE = 2;
const POINTS = 48;
const EPS = 1e-6;

export interface Frames {
  readonly width: number;
  readonly height: number;
  /** RGBA. */
  readonly rgba: Uint8Array;
  readonly second: Uint8Array;
}

/** The same tower with the first of its blocks alone. */
export function withBlocks(weights: Weights, count: number): Weights {
  return { ...weights, metadata: new Map(weights.metadata).set('clip.vision.block_count', count) };
}

/** `[tokens, projection]`, by the first `blocks` blocks. */
export async function embedReference(weights: Weights, picture: Frames, blocks: number): Promise<Float64Array> {
  const read = async (name: string) => {
    const tensor = weights.tensors.get(name)!;
    return dequantize(tensor.type, await tensor.read(0, tensor.byteLength));
  };
  const [kernel0, kernel1, bias, grid] = await Promise.all(
    ['v.patch_embd.weight', 'v.patch_embd.weight.1', 'v.patch_embd.bias', 'v.position_embd.weight'].map(read),
  );
  const [normWeight, normBias, w0, b0, w2, b2] = await Promise.all(
    ['v.post_ln.weight', 'v.post_ln.bias', 'mm.0.weight', 'mm.0.bias', 'mm.2.weight', 'mm.2.bias'].map(read),
  );
  const width = bias.length;
  const [rows, columns] = [picture.height / PATCH, picture.width / PATCH];
  const taps = 3 * PATCH * PATCH;

  const patch = (frame: Uint8Array, row: number, column: number) =>
    Float64Array.from({ length: taps }, (_, i) => {
      const channel = Math.floor(i / PATCH ** 2);
      const y = row * PATCH + Math.floor((i % PATCH ** 2) / PATCH);
      const x = column * PATCH + (i % PATCH);
      return (frame[(y * picture.width + x) * 4 + channel] / 255 - 0.5) / 0.5;
    });
  const position = (row: number, column: number, c: number) => {
    const [r, q] = [(row * (POINTS - 1)) / (rows - 1), (column * (POINTS - 1)) / (columns - 1)];
    let sum = 0;
    for (let i = 0; i < POINTS; i++) {
      for (let j = 0; j < POINTS; j++) {
        const share = Math.max(0, 1 - Math.abs(r - i)) * Math.max(0, 1 - Math.abs(q - j));
        if (share > 0) sum += share * grid[(i * POINTS + j) * width + c];
      }
    }
    return sum;
  };
  const embedded = (row: number, column: number) => {
    const [first, second] = [patch(picture.rgba, row, column), patch(picture.second, row, column)];
    return Float64Array.from({ length: width }, (_, c) => {
      let sum = bias[c] + position(row, column, c);
      for (let i = 0; i < taps; i++) sum += kernel0[c * taps + i] * first[i] + kernel1[c * taps + i] * second[i];
      return sum;
    });
  };

  const places: [row: number, column: number][] = [];
  for (let row = 0; row < rows; row += MERGE) {
    for (let column = 0; column < columns; column += MERGE) {
      for (let i = 0; i < MERGE ** 2; i++) places.push([row + (i >> 1), column + (i & 1)]);
    }
  }
  const x = places.map(([row, column]) => embedded(row, column));
  for (let i = 0; i < blocks; i++) {
    const part = (name: string) =>
      Promise.all([read(`v.blk.${i}.${name}.weight`), read(`v.blk.${i}.${name}.bias`)] as const);
    const ln1 = await part('ln1');
    const qkv = await part('attn_qkv');
    const attended = attention(
      x.map((row) => linear(...qkv, layerNorm(row, ...ln1))),
      places,
      Number(weights.metadata.get('clip.vision.attention.head_count')),
    );
    const [out, ln2, up, down] = await Promise.all(['attn_out', 'ln2', 'ffn_up', 'ffn_down'].map(part));
    x.forEach((row, t) => {
      add(row, linear(...out, attended[t]));
      add(row, linear(...down, linear(...up, layerNorm(row, ...ln2)).map(geluTanh)));
    });
  }

  const out: number[] = [];
  for (let t = 0; t < x.length; t += MERGE ** 2) {
    const merged = x.slice(t, t + MERGE ** 2).flatMap((row) => [...layerNorm(row, normWeight, normBias)]);
    out.push(...linear(w2, b2, linear(w0, b0, merged).map(gelu)));
  }
  return Float64Array.from(out);
}

function add(x: Float64Array, y: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
}

/** @param qkv `[T, 3, heads, D]` */
function attention(qkv: Float64Array[], places: [row: number, column: number][], heads: number): Float64Array[] {
  const width = qkv[0].length / 3;
  const dim = width / heads;
  const turned = qkv.map((row, t) => {
    const copy = Float64Array.from(row);
    for (let base = 0; base < 2 * width; base += dim) {
      for (let i = 0; i < dim / 2; i++) {
        const angle = places[t][i < dim / 4 ? 0 : 1] * 10_000 ** ((-2 * (i % (dim / 4))) / (dim / 2));
        const [a, b] = [row[base + i], row[base + i + dim / 2]];
        copy[base + i] = a * Math.cos(angle) - b * Math.sin(angle);
        copy[base + i + dim / 2] = b * Math.cos(angle) + a * Math.sin(angle);
      }
    }
    return copy;
  });
  return turned.map((query) => {
    const y = new Float64Array(width);
    for (let at = 0; at < width; at += dim) {
      const scores = turned.map((key) => {
        let sum = 0;
        for (let d = at; d < at + dim; d++) sum += query[d] * key[width + d];
        return sum / Math.sqrt(dim);
      });
      const most = Math.max(...scores);
      const shares = scores.map((score) => Math.exp(score - most));
      const total = shares.reduce((a, b) => a + b, 0);
      turned.forEach((value, s) => {
        const share = shares[s] / total;
        for (let d = at; d < at + dim; d++) y[d] += share * value[2 * width + d];
      });
    }
    return y;
  });
}

function linear(weight: Float64Array, bias: Float64Array, x: ArrayLike<number>): Float64Array {
  return bias.map((b, r) => {
    let sum = b;
    for (let c = 0; c < x.length; c++) sum += weight[r * x.length + c] * x[c];
    return sum;
  });
}

function layerNorm(x: Float64Array, weight: Float64Array, bias: Float64Array): Float64Array {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  const variance = x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length;
  return x.map((v, i) => ((v - mean) / Math.sqrt(variance + EPS)) * weight[i] + bias[i]);
}

function geluTanh(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

/** x · Φ(x), Φ by the series of erf, which converges for what occurs here. */
function gelu(x: number): number {
  const z = x / Math.SQRT2;
  let term = z;
  let sum = z;
  for (let n = 1; n < 200; n++) {
    term *= (-z * z) / n;
    sum += term / (2 * n + 1);
  }
  const erf = Math.abs(z) > 5 ? Math.sign(z) : (2 / Math.sqrt(Math.PI)) * sum;
  return 0.5 * x * (1 + erf);
}

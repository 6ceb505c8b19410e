import { afterAll, describe, expect, test } from 'vitest';
import { dequantize, half } from '../../tools/testing/dequantize.ts';
import { fixture } from '../../tools/testing/fixtures.ts';
import { expectClose, openTestGpu } from '../../tools/testing/kernels.ts';
import { randomSource, toHalf } from '../../tools/testing/random.ts';
import { visionGolden } from '../../tools/testing/vision.ts';
import { embedReference, withBlocks } from '../../tools/testing/vision-reference.ts';
import { openWeights, type Weights } from '../weights/index.ts';
import { type VisionPicture, VisionTower } from './vision.ts';

const gpu = await openTestGpu();
afterAll(() => gpu.dispose());
const golden = await visionGolden();

function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] ** 2;
    bb += b[i] ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

/** The same tower with other types: matrices encoded anew as `type` where its blocks fit the rows, or its values as F32. */
async function converted(weights: Weights, type: 'BF16' | 'Q8_0' | 'F32', asFloats: boolean): Promise<Weights> {
  const tensors = new Map(weights.tensors);
  for (const [name, tensor] of weights.tensors) {
    const columns = tensor.shape.at(-1)!;
    const fits = type !== 'Q8_0' || (columns % 32 === 0 && name.endsWith('.weight'));
    if (tensor.type !== 'F16' || !fits) continue;
    const values = dequantize('F16', await tensor.read(0, tensor.byteLength));
    const encoded = encode(type, values);
    const bytes = asFloats ? encode('F32', dequantize(type, encoded)) : encoded;
    tensors.set(name, {
      ...tensor,
      type: asFloats ? 'F32' : type,
      byteLength: bytes.byteLength,
      read: async (start, length) => bytes.slice(start, start + length),
    });
  }
  return { ...weights, tensors };
}

function encode(type: 'BF16' | 'Q8_0' | 'F32', values: Float64Array): Uint8Array<ArrayBuffer> {
  if (type === 'F32') return new Uint8Array(Float32Array.from(values).buffer);
  if (type === 'BF16') {
    const words = new Uint32Array(Float32Array.from(values).buffer);
    return new Uint8Array(Uint16Array.from(words, (word) => word >>> 16).buffer);
  }
  const blocks = new DataView(new ArrayBuffer((values.length / 32) * 34));
  for (let b = 0; b < values.length / 32; b++) {
    const block = values.subarray(32 * b, 32 * (b + 1));
    const scale = half(toHalf(Math.max(...block.map(Math.abs)) / 127));
    blocks.setUint16(34 * b, toHalf(scale), true);
    block.forEach((value, i) => {
      blocks.setInt8(34 * b + 2 + i, scale === 0 ? 0 : Math.round(value / scale));
    });
  }
  return new Uint8Array(blocks.buffer);
}

describe('VisionTower', () => {
  test.each(['BF16', 'Q8_0', 'F32'] as const)('reads %s matrices as the values that they stand for', async (type) => {
    const weights = await openWeights(await fixture('models/mmproj-f16.gguf'), { store: 'none' });
    const image = golden.images[1];
    const results: Float32Array[] = [];
    for (const asFloats of [false, true]) {
      const tower = await VisionTower.load(gpu, await converted(weights, type, asFloats));
      const embeddings = await tower.embed(await golden.picture(image));
      results.push(new Float32Array(await gpu.read(embeddings), 0, image.tokens * golden.n_embd));
      embeddings.dispose();
      tower.dispose();
    }
    expect(cosine(results[0], results[1])).toBeGreaterThan(0.999999);
    // And not far from the tower that was encoded.
    expect(cosine(results[0], golden.embeddings(image))).toBeGreaterThan(type === 'F32' ? 0.99999 : 0.99);
    weights.close();
  });

  test('reads two frames by the kernel of each, and one picture as both', async () => {
    const weights = withBlocks(await openWeights(await fixture('models/mmproj-f16.gguf'), { store: 'none' }), 0);
    const tower = await VisionTower.load(gpu, weights);
    const random = randomSource(1);
    const [width, height] = [96, 64];
    const frame = () => Uint8Array.from({ length: width * height * 4 }, () => random() * 256);
    const [first, second] = [frame(), frame()];
    const embed = async (picture: VisionPicture) => {
      const embeddings = await tower.embed(picture);
      const values = new Float32Array(await gpu.read(embeddings), 0, 6 * golden.n_embd);
      embeddings.dispose();
      return values;
    };
    for (const [rgba, next] of [
      [first, second],
      [second, first],
      [first, first],
    ]) {
      const expected = await embedReference(weights, { width, height, rgba, second: next }, 0);
      expectClose(await embed({ width, height, rgba, second: next }), expected, 1e-5);
      if (rgba === next) expectClose(await embed({ width, height, rgba }), expected, 1e-5);
    }
    tower.dispose();
    weights.close();
  });

  test('reads pictures of more patches than one run holds', async () => {
    const weights = withBlocks(await openWeights(await fixture('models/mmproj-f16.gguf'), { store: 'none' }), 1);
    const tower = await VisionTower.load(gpu, weights);
    const random = randomSource(2);
    const [width, height] = [160, 128]; // 80 patches, in runs of 64 and 16
    const rgba = Uint8Array.from({ length: width * height * 4 }, () => random() * 256);
    const embeddings = await tower.embed({ width, height, rgba }, { runPatches: 64 });
    const actual = new Float32Array(await gpu.read(embeddings), 0, 20 * golden.n_embd);
    embeddings.dispose();
    tower.dispose();
    expectClose(actual, await embedReference(weights, { width, height, rgba, second: rgba }, 1), 1e-4);
    weights.close();
  });

  // Tiles and caches of halves: 11 bits of each product's factors, sums in f32.
  test.runIf(gpu.capabilities.f16)('embeds the fixtures in f16 with a cosine of at least 0.9999', async () => {
    const weights = await openWeights(await fixture('models/mmproj-f16.gguf'), { store: 'none' });
    const tower = await VisionTower.load(gpu, weights);
    for (const image of golden.images) {
      const embeddings = await tower.embed(await golden.picture(image), { f16: true });
      const actual = new Float32Array(await gpu.read(embeddings), 0, image.tokens * golden.n_embd);
      embeddings.dispose();
      const expected = golden.embeddings(image);
      for (let t = 0; t < image.tokens; t++) {
        const [from, to] = [t * golden.n_embd, (t + 1) * golden.n_embd];
        const alike = cosine(actual.subarray(from, to), expected.subarray(from, to));
        expect(alike, `${image.file}, token ${t}`).toBeGreaterThanOrEqual(0.9999);
      }
    }
    tower.dispose();
    weights.close();
  });

  test('embeds the fixtures as the reference does, and gives its memory back', async () => {
    const weights = await openWeights(await fixture('models/mmproj-f16.gguf'), { store: 'none' });
    const tower = await VisionTower.load(gpu, weights);
    const loaded = gpu.liveBuffers;
    for (const image of golden.images) {
      const embeddings = await tower.embed(await golden.picture(image));
      const actual = new Float32Array(await gpu.read(embeddings), 0, image.tokens * golden.n_embd);
      embeddings.dispose();
      const expected = golden.embeddings(image);
      for (let t = 0; t < image.tokens; t++) {
        const [from, to] = [t * golden.n_embd, (t + 1) * golden.n_embd];
        expect(
          cosine(actual.subarray(from, to), expected.subarray(from, to)),
          `${image.file}, token ${t}`,
        ).toBeGreaterThan(0.99999);
      }
      expect(gpu.liveBuffers).toBe(loaded);
    }
    tower.dispose();
    weights.close();
    expect(gpu.liveBuffers).toBe(0);
  });
});

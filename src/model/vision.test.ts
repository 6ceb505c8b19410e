import { afterAll, describe, expect, test } from 'vitest';
import { fixture } from '../../tools/testing/fixtures.ts';
import { openTestGpu } from '../../tools/testing/kernels.ts';
import { visionGolden } from '../../tools/testing/vision.ts';
import { openWeights } from '../weights/index.ts';
import { VisionTower } from './vision.ts';

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

describe('VisionTower', () => {
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

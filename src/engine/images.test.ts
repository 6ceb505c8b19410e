import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testGpu } from '../../tools/test-gpu.ts';
import { fixture } from '../../tools/testing/fixtures.ts';
import { GREEDY_SAMPLING } from '../../tools/testing/greedy.ts';
import { type VisionCase, visionGolden } from '../../tools/testing/vision.ts';
import { loadTokenModel } from './index.ts';
import type { PromptImage, TokenModel } from './types.ts';

const golden = await visionGolden();

async function load(vision: boolean): Promise<TokenModel> {
  const { model } = await loadTokenModel({
    model: await fixture('models/dense-f32.gguf'),
    ...(vision ? { mmproj: await fixture('models/mmproj-f16.gguf') } : undefined),
    gpu: await testGpu(),
    precision: 'f32',
    store: 'none',
  });
  return model;
}

/** The images of a conversation, and how often their pixels were asked for. */
function imagesOf({ parts, ids }: VisionCase): { images: PromptImage[]; asked: () => number } {
  const PAD = 742;
  let at = 0;
  let asked = 0;
  const images = parts
    .filter((part) => part !== 'text')
    .map((number): PromptImage => {
      const image = golden.images[number];
      const first = ids.indexOf(PAD, at);
      at = first + image.tokens;
      const pixels = async () => {
        asked++;
        return golden.picture(image);
      };
      return { first, key: image.file, width: image.width, height: image.height, pixels };
    });
  return { images, asked: () => asked };
}

describe('conversations with images', () => {
  let model: TokenModel;
  beforeAll(async () => {
    model = await load(true);
  });
  /** A second model, so that the first goes on undisturbed: the whole sequence in one pass. */
  let second: TokenModel | undefined;
  afterAll(async () => {
    await model.dispose();
    await second?.dispose();
  });

  test('the tower is not there before the first image', () => {
    expect(model.info.vision).toBe(true);
    expect(model.stats().visionRuns).toBe(0);
  });

  test('last logits differ by at most 5e-3, and each image is read once', async () => {
    for (const conversation of golden.cases) {
      const { images } = imagesOf(conversation);
      const logits = await model.logits(conversation.ids, { images });
      const worst = golden.logits(conversation).reduce((most, v, i) => Math.max(most, Math.abs(v - logits[i])), 0);
      expect(worst, `${conversation.parts}`).toBeLessThanOrEqual(5e-3);
    }
    expect(model.stats().visionRuns).toBe(3);
    const again = imagesOf(golden.cases[0]);
    await model.logits(golden.cases[0].ids, { images: again.images });
    expect(again.asked()).toBe(0);
    expect(model.stats().visionRuns).toBe(3);
  });

  test('generates from where the images leave the positions', async () => {
    const conversation = golden.cases[3];
    const { images } = imagesOf(conversation);
    const ids = [...conversation.ids];
    for await (const { id } of model.generate(conversation.ids, {
      maxTokens: 3,
      stopIds: new Set(),
      sampling: GREEDY_SAMPLING,
      images,
    })) {
      const logits = await referenceChoice(ids, images);
      expect(id).toBe(logits);
      ids.push(id);
    }
    expect(ids).toHaveLength(conversation.ids.length + 3);
  });

  test('goes on behind a picture that was read before, and behind no other', async () => {
    const { ids, images, tokens } = pictureAndText();
    await ask(ids, images, tokens);
    const other = [...ids.slice(0, -3), 5, 6, 7];
    const { reused, id } = await ask(other, images, tokens);
    expect(reused).toBe(tokens);
    expect(id).toBe(await referenceChoice(other, images));
    const { visionCached } = model.stats();
    expect((await ask(other, [{ ...images[0], key: 'another picture' }], tokens)).reused).toBe(0);
    expect(model.stats().visionCached).toBe(visionCached);
    // And text alone, of the same tokens, is no picture.
    expect((await ask(other, [], tokens)).reused).toBe(0);
    expect((await ask(other, images, tokens)).id).toBe(id);
  });

  test('a picture that fails leaves the sequence as it was', async () => {
    const { ids, images, tokens } = pictureAndText();
    await ask(ids, images, tokens);
    const broken = { ...images[0], key: 'broken', pixels: () => Promise.reject(new Error('no picture')) };
    await expect(ask(ids, [broken], tokens)).rejects.toThrow('no picture');
    expect((await ask(ids, images, tokens)).reused).toBeGreaterThanOrEqual(tokens);
  });

  /** A conversation that begins with a picture, and how many tokens there are up to its end. */
  function pictureAndText() {
    const conversation = golden.cases[1];
    const { images } = imagesOf(conversation);
    return { ids: conversation.ids, images, tokens: images[0].first + golden.images[1].tokens };
  }

  /** The first token of an answer, and how many of the prompt's were not read. */
  async function ask(ids: readonly number[], images: PromptImage[], checkpoint: number) {
    const before = model.stats().reusedTokens;
    const options = { maxTokens: 1, stopIds: new Set<number>(), sampling: GREEDY_SAMPLING, checkpoints: [checkpoint] };
    let id = -1;
    for await (const token of model.generate(ids, { ...options, images })) id = token.id;
    return { id, reused: model.stats().reusedTokens - before };
  }

  async function referenceChoice(ids: readonly number[], images: PromptImage[]): Promise<number> {
    second ??= await load(true);
    const logits = await second.logits(ids, { images });
    return logits.indexOf(Math.max(...logits));
  }
});

test('a model without a tower says so', async () => {
  const model = await load(false);
  expect(model.info.vision).toBe(false);
  const { images } = imagesOf(golden.cases[0]);
  await expect(model.logits(golden.cases[0].ids, { images })).rejects.toMatchObject({ code: 'no-vision' });
  await expect(model.vision()).rejects.toMatchObject({ code: 'no-vision' });
  await model.dispose();
});

test("another model's tower is refused", async () => {
  const { model } = await loadTokenModel({
    model: await fixture('models/dense-k.gguf'),
    mmproj: await fixture('models/mmproj-f16.gguf'),
    gpu: await testGpu(),
    store: 'none',
  });
  await expect(model.vision()).rejects.toMatchObject({ code: 'unsupported-gguf' });
  await model.dispose();
});

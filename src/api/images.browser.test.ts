/** Pictures through the public API, in a real worker. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture } from '../../tools/testing/fixtures.ts';
import { type ChatCompletionRequest, Engine, type ImageSource } from '../index.ts';

describe('Engine with a vision tower', () => {
  let engine: Engine;
  beforeAll(async () => {
    const model = await fixture('models/dense-f32.gguf');
    const mmproj = await fixture('models/mmproj-f16.gguf');
    engine = await Engine.load({ model, mmproj, contextLength: 1024, precision: 'f32', store: 'none' });
  });
  afterAll(() => engine?.dispose());

  const ask = (url: string | ImageSource, text = 'What is it?'): ChatCompletionRequest => ({
    messages: [
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url } },
          { type: 'text', text },
        ],
      },
    ],
    max_tokens: 2,
    temperature: 0,
    return_token_ids: true,
  });
  const answerTo = async (request: ChatCompletionRequest) =>
    engine.chat.completions.create({ ...request, stream: false });

  it('reads the same picture from a file, a blob: and a data: address, and once', async () => {
    expect(engine.info.vision).toBe(true);
    const file = await fixture('vision/image-1.png');
    const blob = URL.createObjectURL(file);
    const data = await new Promise<string>((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result as string);
      reader.readAsDataURL(file);
    });
    const fromFile = await answerTo(ask(file));
    const pad = await engine.tokenize('<|image_pad|>', { special: true });
    expect(fromFile.prompt_token_ids?.filter((id) => id === pad[0])).toHaveLength(77);
    expect(engine.stats().visionRuns).toBe(1);
    for (const url of [blob, data, new URL('/fixtures/vision/image-1.png', location.href).href]) {
      const other = await answerTo(ask(url));
      expect(other.choices[0].token_ids).toEqual(fromFile.choices[0].token_ids);
    }
    await answerTo(ask(blob, 'And which colour?'));
    URL.revokeObjectURL(blob);
    expect(engine.stats().visionRuns).toBe(1);
    await answerTo(ask(await fixture('vision/image-0.png')));
    expect(engine.stats().visionRuns).toBe(2);
  });

  it('takes what a page holds: bitmaps, images, canvases, and addresses relative to it', async () => {
    const file = await fixture('vision/image-1.png');
    const expected = (await answerTo(ask(file))).choices[0].token_ids;
    const bitmap = await createImageBitmap(file);
    const { width, height } = bitmap;
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    canvas.getContext('2d')!.drawImage(bitmap, 0, 0);
    const offscreen = new OffscreenCanvas(width, height);
    offscreen.getContext('2d')!.drawImage(bitmap, 0, 0);
    const image = Object.assign(new Image(), { src: '/fixtures/vision/image-1.png' });
    const { visionRuns } = engine.stats();
    const sources = { bitmap, canvas, offscreen, image, relative: '/fixtures/vision/image-1.png' };
    for (const [name, source] of Object.entries(sources)) {
      const answer = await answerTo(ask(source));
      expect(answer.choices[0].token_ids, name).toEqual(expected);
    }
    // Pixels are told apart from the file that they came from, but not from each other.
    expect(engine.stats().visionRuns).toBe(visionRuns + 1);
    expect(bitmap.width, 'it stays the page’s').toBe(width);
    bitmap.close();
    await expect(answerTo(ask(bitmap))).rejects.toMatchObject({
      code: 'bad-image',
      param: 'messages[0].content[0].image_url.url',
    });
  });

  it('explains that a picture of another site cannot be read', async () => {
    const image = new Image();
    image.src = `http://127.0.0.1:${location.port}/fixtures/vision/image-1.png`;
    await expect(answerTo(ask(image))).rejects.toMatchObject({ code: 'cors' });
  });

  it('counts what a picture costs without loading the tower', async () => {
    const file = await fixture('vision/image-2.png');
    const { visionRuns } = engine.stats();
    const counted = await engine.countMediaTokens(file);
    expect(counted).toEqual({ tokens: 82, width: 128, height: 640 });
    expect(engine.stats().visionRuns).toBe(visionRuns);
    const withIt = await answerTo(ask(file));
    const without = await answerTo({ ...ask(file), messages: [{ role: 'user', content: 'What is it?' }] });
    expect(withIt.usage.prompt_tokens - without.usage.prompt_tokens).toBe(82);
    const part = { type: 'image_url' as const, image_url: { url: '/fixtures/vision/image-2.png' } };
    expect(await engine.countMediaTokens(part)).toEqual(counted);
  });

  it('goes on from the picture for another question about it', async () => {
    const file = await fixture('vision/image-0.png');
    await answerTo(ask(file, 'What is it?'));
    const { usage } = await answerTo(ask(file, 'And how many?'));
    expect(usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(64);
    const other = await answerTo(ask(await fixture('vision/image-1.png'), 'And how many?'));
    expect(other.usage.prompt_tokens_details.cached_tokens).toBeLessThan(64);
  });

  it('keeps the conversation as it was when a picture is broken', async () => {
    const request = ask(await fixture('vision/image-0.png'));
    await answerTo(request);
    await expect(answerTo(ask(new Blob(['no picture'])))).rejects.toMatchObject({ code: 'bad-image' });
    const { usage } = await answerTo(request);
    expect(usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(64);
  });

  it.each([
    ['bad-image', 'data:image/png;base64,AAAA'],
    ['bad-image', new Blob(['no picture'])],
    ['network', 'http://127.0.0.1:9/none.png'],
    ['invalid-request', 'file:///none.png'],
  ])('fails with %s and goes on', async (code, url) => {
    await expect(answerTo(ask(url))).rejects.toMatchObject({ name: 'QwenError', code });
    const after = await answerTo({ messages: [{ role: 'user', content: 'Hello' }], max_tokens: 1 });
    expect(after.choices[0].finish_reason).toBeDefined();
  });
});

it('a model without a tower says so', async () => {
  const engine = await Engine.load({
    model: await fixture('models/dense-f32.gguf'),
    contextLength: 512,
    store: 'none',
  });
  const url = await fixture('vision/image-0.png');
  const request = {
    messages: [{ role: 'user' as const, content: [{ type: 'image_url' as const, image_url: { url } }] }],
  };
  expect(engine.info.vision).toBe(false);
  await expect(engine.countMediaTokens(url)).rejects.toMatchObject({ code: 'no-vision' });
  await expect(engine.chat.completions.create(request)).rejects.toMatchObject({ code: 'no-vision', param: 'mmproj' });
  await engine.dispose();
});

/** Pictures through the public API, in a real worker. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture } from '../../tools/testing/fixtures.ts';
import { type ChatCompletionRequest, Engine } from '../index.ts';

describe('Engine with a vision tower', () => {
  let engine: Engine;
  beforeAll(async () => {
    const model = await fixture('models/dense-f32.gguf');
    const mmproj = await fixture('models/mmproj-f16.gguf');
    engine = await Engine.load({ model, mmproj, contextLength: 1024, precision: 'f32', store: 'none' });
  });
  afterAll(() => engine?.dispose());

  const ask = (url: string | Blob, text = 'What is it?'): ChatCompletionRequest => ({
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
  await expect(engine.chat.completions.create(request)).rejects.toMatchObject({ code: 'no-vision', param: 'mmproj' });
  await engine.dispose();
});

/** Videos through the public API, in a real worker. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture } from '../../tools/testing/fixtures.ts';
import { makeWebm, recordWebm } from '../../tools/testing/webm.ts';
import { type ChatCompletionRequest, Engine, type MediaProgress, type VideoPart } from '../index.ts';

/** 8 frames in 1.6 seconds: the model sees frames 0, 2, 5 and 7 of them, as two pairs of 5 × 3 tokens. */
const CLIP = {
  width: 160,
  height: 96,
  fps: 5,
  colours: ['red', 'lime', 'blue', 'yellow', 'white', 'black', 'cyan', 'magenta'],
};
const PAIR_TOKENS = 15;

describe('Engine with a vision tower', () => {
  let engine: Engine;
  let clip: Blob;
  let pad: number;
  beforeAll(async () => {
    clip = await makeWebm(CLIP);
    const model = await fixture('models/dense-f32.gguf');
    const mmproj = await fixture('models/mmproj-f16.gguf');
    engine = await Engine.load({ model, mmproj, contextLength: 1024, precision: 'f32', store: 'none' });
    [pad] = await engine.tokenize('<|video_pad|>', { special: true });
  });
  afterAll(() => engine?.dispose());

  const ask = (
    url: VideoPart['video_url']['url'],
    text = 'What is it?',
    more: Partial<VideoPart['video_url']> = {},
  ): ChatCompletionRequest & { stream: false } => ({
    messages: [
      {
        role: 'user',
        content: [
          { type: 'video_url', video_url: { url, ...more } },
          { type: 'text', text },
        ],
      },
    ],
    max_tokens: 2,
    temperature: 0,
    return_token_ids: true,
    stream: false,
  });

  it('reads pairs of frames after their times, telling how far it is', async () => {
    const reports: MediaProgress[] = [];
    const onMediaProgress = (report: MediaProgress) => void reports.push(report);
    const answer = await engine.chat.completions.create(ask(clip), { onMediaProgress });
    const ids = answer.prompt_token_ids!;
    expect(ids.filter((id) => id === pad)).toHaveLength(2 * PAIR_TOKENS);
    const prompt = (await engine.detokenize(ids)).replaceAll(/(?:<\|video_pad\|>)+/g, '…');
    expect(prompt).toContain(
      'user\n<0.2 seconds><|vision_start|>…<|vision_end|><1.2 seconds><|vision_start|>…<|vision_end|>What is it?',
    );
    expect(engine.stats()).toMatchObject({ visionRuns: 2, visionCached: 0 });
    expect(engine.stats().visionMs).toBeGreaterThan(0);
    expect(reports.filter(({ phase }) => phase === 'tower').at(-1)).toSatisfy(
      (r) => r.total > 0 && r.loaded === r.total,
    );
    expect(reports.at(-1)).toEqual({ phase: 'vision', loaded: 2, total: 2 });
  });

  it('does not read it again for the next question, wherever it comes from', async () => {
    const before = engine.stats();
    const address = URL.createObjectURL(clip);
    const element = document.createElement('video');
    element.src = address;
    for (const [i, source] of [clip, address, element].entries()) {
      const answer = await engine.chat.completions.create(ask(source, `And which colour, ${i}?`));
      // Up to where the questions part: the same video, so the same state.
      expect(answer.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(2 * PAIR_TOKENS);
    }
    URL.revokeObjectURL(address);
    expect(engine.stats().visionRuns).toBe(before.visionRuns);
    expect(engine.stats().visionCached).toBe(before.visionCached + 6);
  });

  it('counts what it costs without reading it', async () => {
    const { visionRuns } = engine.stats();
    const counted = await engine.countMediaTokens(clip);
    expect(counted).toMatchObject({ width: 160, height: 96, frames: 4 });
    expect(counted.seconds).toBeCloseTo(1.6, 2);
    const withIt = await engine.chat.completions.create(ask(clip));
    const without = await engine.chat.completions.create({
      ...ask(clip),
      messages: [{ role: 'user', content: 'What is it?' }],
    });
    expect(withIt.usage.prompt_tokens - without.usage.prompt_tokens).toBe(counted.tokens);
    const part = ask(clip, '', { fps: 5, max_frames: 6 }).messages[0].content![0] as VideoPart;
    expect(await engine.countMediaTokens(part)).toMatchObject({ frames: 6 });
    expect(engine.stats().visionRuns).toBe(visionRuns);
  });

  it('sees a still video as the same picture twice', async () => {
    const still = await makeWebm({ ...CLIP, colours: ['red', 'red'] });
    const { visionRuns } = engine.stats();
    await engine.chat.completions.create(ask(still));
    expect(engine.stats().visionRuns).toBe(visionRuns + 1);
  });

  it('reads a recording of the page', async () => {
    const recording = await recordWebm({ ...CLIP, colours: ['red', 'blue', 'lime'] });
    const answer = await engine.chat.completions.create(ask(recording));
    expect(answer.prompt_token_ids!.filter((id) => id === pad).length % PAIR_TOKENS).toBe(0);
    expect(answer.choices[0].token_ids).toHaveLength(2);
  });

  it('stops while the video is read, and goes on with the next request', async () => {
    const other = await makeWebm({ ...CLIP, colours: CLIP.colours.toReversed() });
    const controller = new AbortController();
    const stopped = engine.chat.completions.create(ask(other, 'What?', { fps: 5 }), {
      signal: controller.signal,
      onMediaProgress: ({ phase }) => phase === 'vision' && controller.abort(),
    });
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
    const answer = await engine.chat.completions.create(ask(other, 'What?', { fps: 5 }));
    expect(answer.prompt_token_ids!.filter((id) => id === pad)).toHaveLength(4 * PAIR_TOKENS);
  });

  it.each([
    ['bad-video', new File(['no video'], 'talk.mp4')],
    ['not-found', 'blob:http://localhost/none'],
    ['network', 'http://127.0.0.1:9/none.webm'],
    ['invalid-request', 7 as never],
  ])('fails with %s, and the conversation goes on from where it was', async (code, url) => {
    const good = ask(clip, 'Which colour?');
    await engine.chat.completions.create(good);
    await expect(engine.chat.completions.create(ask(url))).rejects.toMatchObject({ name: 'QwenError', code });
    const { usage } = await engine.chat.completions.create(good);
    expect(usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(2 * PAIR_TOKENS);
  });

  it('refuses a live stream, which has no end', async () => {
    const live = document.createElement('video');
    live.srcObject = document.createElement('canvas').captureStream();
    await expect(engine.chat.completions.create(ask(live))).rejects.toMatchObject({
      code: 'bad-video',
      param: 'messages[0].content[0].video_url.url',
    });
  });

  it('says which video is too long for the context', async () => {
    const many = Array.from({ length: 60 }, (_, i) => ({
      type: 'video_url' as const,
      video_url: { url: clip, max_frames: 2 + (i % 2) },
    }));
    const request = { ...ask(clip), messages: [{ role: 'user' as const, content: many }] };
    await expect(engine.chat.completions.create(request)).rejects.toMatchObject({ code: 'context-overflow' });
  });
});

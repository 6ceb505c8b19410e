import { afterEach, describe, expect, test, vi } from 'vitest';
import { portablePart, portableRequest } from './page-media.ts';
import type { ChatCompletionRequest } from './types.ts';

afterEach(() => vi.unstubAllGlobals());

const request = (...content: NonNullable<ChatCompletionRequest['messages'][0]['content']> & object[]) =>
  ({ messages: [{ role: 'user', content }], stream: true }) as ChatCompletionRequest;

describe('portableRequest', () => {
  test('resolves addresses against the page, and keeps files', async () => {
    vi.stubGlobal('document', { baseURI: 'https://page.test/chat/' });
    const file = new Blob(['x'], { type: 'image/png' });
    const original = request(
      { type: 'image_url', image_url: { url: 'cat.jpg', detail: 'low' } },
      { type: 'text', text: 'and' },
      { type: 'image_url', image_url: { url: file } },
      { type: 'video_url', video_url: { url: '/talk.webm', fps: 1 } },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
    );
    const { request: copy, media } = await portableRequest(original);
    expect(media).toBe(4);
    expect(copy).toEqual(
      request(
        { type: 'image_url', image_url: { url: 'https://page.test/chat/cat.jpg', detail: 'low' } },
        { type: 'text', text: 'and' },
        { type: 'image_url', image_url: { url: file } },
        { type: 'video_url', video_url: { url: 'https://page.test/talk.webm', fps: 1 } },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
      ),
    );
    expect(original.messages[0].content![0]).toMatchObject({ image_url: { url: 'cat.jpg' } });
  });

  test('copies the request as it is when it is made', async () => {
    const original = request({ type: 'text', text: 'before' });
    const made = portableRequest(original);
    original.messages[0].content = 'after';
    expect((await made).request).toEqual(request({ type: 'text', text: 'before' }));
  });

  test.each([[undefined], [null], [7], [{}], [{ messages: 'x' }], [{ messages: [null, { content: [null, 5] }] }]])(
    'leaves %o for the check of requests to refuse',
    async (odd) => {
      expect(await portableRequest(odd)).toEqual({ request: odd, media: 0 });
    },
  );

  test('refuses what cannot be copied', async () => {
    const url = (() => {}) as never;
    for (const odd of [{ user: () => {} }, request({ type: 'image_url', image_url: { url } })]) {
      await expect(portableRequest(odd)).rejects.toMatchObject({ code: 'invalid-request', param: 'request' });
    }
  });
});

describe('portablePart', () => {
  test.each([
    [new Blob([], { type: 'image/png' }), 'image_url'],
    [new Blob([], { type: 'video/webm' }), 'video_url'],
    [new Blob([]), 'image_url'],
    [{ type: 'video_url', video_url: { url: 'https://host/a.webm' } } as const, 'video_url'],
  ])('takes %o as %s', async (source, type) => {
    expect(await portablePart(source)).toMatchObject({ type });
  });
});

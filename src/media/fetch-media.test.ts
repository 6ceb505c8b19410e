import { afterEach, expect, test, vi } from 'vitest';
import { fetchImage, mediaName } from './fetch-media.ts';

afterEach(() => vi.unstubAllGlobals());

test.each([
  [404, 'not-found'],
  [410, 'not-found'],
  [403, 'http-error'],
  [500, 'http-error'],
])('status %i is %s', async (status, code) => {
  vi.stubGlobal('fetch', async () => new Response('', { status }));
  await expect(fetchImage('https://host/a.png', 'url')).rejects.toMatchObject({
    code,
    status,
    file: 'https://host/a.png',
  });
});

test('a refused connection names CORS as the other cause', async () => {
  vi.stubGlobal('fetch', async () => {
    throw new TypeError('Failed to fetch');
  });
  await expect(fetchImage('https://host/a.png', 'url')).rejects.toMatchObject({
    code: 'network',
    message: expect.stringContaining('CORS'),
  });
});

test('an abort ends it with the signal’s reason', async () => {
  await expect(fetchImage('https://host/a.png', 'url', AbortSignal.abort('enough'))).rejects.toBe('enough');
});

test('a file is itself, and named', async () => {
  const file = new File(['x'], 'cat.png');
  expect(await fetchImage(file, 'url')).toBe(file);
  expect(mediaName(file, 'image')).toBe('cat.png');
});

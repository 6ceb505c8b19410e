import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseRange, serve } from './serve.mjs';

let running: Awaited<ReturnType<typeof serve>>;
beforeAll(async () => {
  running = await serve(0);
});
afterAll(() => running.server.close());

const get = (path: string, headers: Record<string, string> = {}) => fetch(new URL(path, running.url), { headers });
const FILE = '/fixtures/models/dense-k.gguf';

test.each([
  [undefined, undefined],
  ['bytes=0-0', { start: 0, end: 0 }],
  ['bytes=10-', { start: 10, end: 99 }],
  ['bytes=10-1000', { start: 10, end: 99 }],
  ['bytes=-5', { start: 95, end: 99 }],
  ['bytes=-500', { start: 0, end: 99 }],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=100-', 'unsatisfiable'],
  ['bytes=5-4', undefined],
  ['bytes=-', undefined],
  ['bytes=0-1,5-6', undefined],
  ['items=0-1', undefined],
])('the range %s of 100 bytes is read as %o', (header, expected) => {
  expect(parseRange(header, 100)).toEqual(expected);
});

test('a range is answered with exactly its bytes, and to any origin', async () => {
  const response = await get(FILE, { Range: 'bytes=0-3' });
  expect(response.status).toBe(206);
  expect(response.headers.get('Access-Control-Allow-Origin')).toBe('*');
  expect(response.headers.get('Content-Range')).toMatch(/^bytes 0-3\/\d+$/);
  expect(await response.text()).toBe('GGUF');
});

test('a range of another version of the file is answered with the whole file', async () => {
  const whole = await get(FILE, { Range: 'bytes=0-3', 'If-Range': '"stale"' });
  expect(whole.status).toBe(200);
  const part = await get(FILE, { Range: 'bytes=0-3', 'If-Range': whole.headers.get('ETag')! });
  expect(part.status).toBe(206);
  expect((await whole.arrayBuffer()).byteLength).toBe(Number(part.headers.get('Content-Range')!.split('/')[1]));
});

test('a range beyond the end is refused with the size', async () => {
  const response = await get(FILE, { Range: 'bytes=999999999-' });
  expect(response.status).toBe(416);
  expect(response.headers.get('Content-Range')).toMatch(/^bytes \*\/\d+$/);
});

test.each(['/fixtures/none.gguf', '/fixtures/%2e%2e/package.json', '/fixtures/%ZZ', '/fixtures'])(
  'the path %s is not found',
  async (path) => {
    expect((await get(path)).status).toBe(404);
  },
);

import { createHash } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { type BuiltFiles, type Caches, Precache } from './precache.ts';

const SCOPE = 'https://host/app/';

/** As the browser's, as far as it goes. */
class MemoryCaches implements Caches {
  readonly all = new Map<string, Map<string, Response>>();

  async open(name: string) {
    const entries = this.all.get(name) ?? new Map<string, Response>();
    this.all.set(name, entries);
    const bare = (url: string) => url.split('?')[0];
    return {
      match: async (key: RequestInfo | URL, options?: CacheQueryOptions) => {
        const found = [...entries].find(([url]) =>
          options?.ignoreSearch ? bare(url) === bare(String(key)) : url === key,
        );
        return found?.[1].clone();
      },
      put: async (key: RequestInfo | URL, response: Response) => void entries.set(String(key), response.clone()),
      keys: async () => [...entries.keys()].map((url) => new Request(url)),
      delete: async (key: RequestInfo | URL) => entries.delete(String(key)),
    };
  }

  async keys() {
    return [...this.all.keys()];
  }

  async delete(name: string) {
    return this.all.delete(name);
  }
}

let caches: MemoryCaches;
let fetched: string[];

beforeEach(() => {
  caches = new MemoryCaches();
  fetched = [];
});

function build(files: Record<string, string>, served = files): { precache: Precache; install: () => Promise<void> } {
  const list: BuiltFiles = Object.entries(files).map(([path, text]) => [
    path,
    createHash('sha256').update(text).digest('hex').slice(0, 32),
  ]);
  const precache = new Precache(caches, SCOPE, list.map(([, hash]) => hash).join(), list);
  const install = () =>
    precache.install(async (url) => {
      fetched.push(url);
      const text = served[url.slice(SCOPE.length)];
      return new Response(text, { status: text === undefined ? 404 : 200, headers: { 'Content-Type': 'text/x' } });
    });
  return { precache, install };
}

const one = { 'index.html': 'one', 'assets/a-1.js': 'a', 'assets/b-1.js': 'b' };
const two = { 'index.html': 'two', 'assets/a-1.js': 'a', 'assets/b-2.js': 'B' };
const three = { 'index.html': 'three', 'assets/c-3.js': 'c' };

const text = async (precache: Precache, path: string, isNavigation = false) =>
  (await precache.answer(SCOPE + path, isNavigation))?.text();

test('a page that was opened once answers from what is kept, whatever its query', async () => {
  const { precache, install } = build(one);
  await install();
  expect(await text(precache, '?model=x', true)).toBe('one');
  expect(await text(precache, 'index.html', true)).toBe('one');
  expect(await text(precache, 'assets/a-1.js')).toBe('a');
  expect((await precache.answer(`${SCOPE}assets/a-1.js`, false))?.headers.get('Content-Type')).toBe('text/x');
});

test('only the page is its business', async () => {
  const { precache, install } = build(one);
  await install();
  for (const [url, isNavigation] of [
    [`${SCOPE}models/tiny.gguf`, false],
    [`${SCOPE}v1/models`, false],
    [`${SCOPE}other.html`, true],
    ['https://host/', true],
    [SCOPE, false],
  ] as const) {
    expect(precache.knows(url, isNavigation), url).toBe(false);
    expect(await precache.answer(url, isNavigation)).toBeUndefined();
  }
});

test('a new build fetches only what changed, and the last one stays at hand for tabs that show it', async () => {
  const first = build(one);
  await first.install();
  await first.precache.activate();
  fetched = [];
  const second = build(two);
  await second.install();
  expect(fetched.sort()).toEqual([`${SCOPE}assets/b-2.js`, `${SCOPE}index.html`]);
  expect(await text(first.precache, '', true), 'until it is activated the old one answers').toBe('one');
  await second.precache.activate();
  expect(await text(second.precache, '', true)).toBe('two');
  expect(await text(second.precache, 'assets/b-1.js'), 'of the last build').toBe('b');
  const third = build(three);
  await third.install();
  await third.precache.activate();
  expect(await text(third.precache, 'assets/b-2.js'), 'of the last build').toBe('B');
  expect(await text(third.precache, 'assets/b-1.js'), 'of the one before').toBeUndefined();
  expect(caches.all.size).toBe(2);
});

test.each([
  ['is missing', { 'index.html': 'one', 'assets/a-1.js': 'a' }, 'assets/b-1.js: HTTP 404'],
  ['is of another build', { ...one, 'index.html': 'two' }, 'index.html is not the one of this build'],
])('a build of which a file %s is not installed', async (_, served, reason) => {
  await expect(build(one, served).install()).rejects.toThrow(reason);
});

/** What the service worker keeps of the page: all files of one build, so that it works without a network. */

/** Path, relative to the page, and how the SHA-256 of its bytes begins, in hex, of each file of the build. */
export type BuiltFiles = readonly (readonly [path: string, hash: string])[];

/** The part of the Cache API that is used here. */
export interface Caches {
  open(name: string): Promise<Pick<Cache, 'match' | 'put' | 'keys' | 'delete'>>;
  keys(): Promise<string[]>;
  delete(name: string): Promise<boolean>;
}

const CACHE = 'qwen-webgpu-demo';
/** Names the hash of a file's bytes within its key, so that the next build takes over what has not changed. */
const HASH = '__hash';

export class Precache {
  private readonly hashes: ReadonlyMap<string, string>;
  private readonly name: string;

  /**
   * @param scope address of the page's folder
   * @param version of the build
   */
  constructor(
    private readonly caches: Caches,
    private readonly scope: string,
    version: string,
    files: BuiltFiles,
  ) {
    this.hashes = new Map(files);
    this.name = `${CACHE} ${version}`;
  }

  /**
   * Fetches what no earlier build has brought.
   * @throws if anything is missing, or of another build, as while a new one is being put in place: then the earlier build stays
   */
  async install(fetchFile: (url: string) => Promise<Response>): Promise<void> {
    const cache = await this.caches.open(this.name);
    await Promise.all(
      [...this.hashes].map(async ([path, hash]) => {
        const key = this.key(path);
        await cache.put(key, (await this.anywhere(key)) ?? (await this.fetch(path, hash, fetchFile)));
      }),
    );
  }

  private async fetch(path: string, hash: string, fetchFile: (url: string) => Promise<Response>): Promise<Response> {
    const response = await fetchFile(new URL(path, this.scope).href);
    if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
    const bytes = await response.arrayBuffer();
    if (!(await sha256(bytes)).startsWith(hash)) throw new Error(`${path} is not the one of this build`);
    // Made anew: browsers refuse to open a page from an answer that was redirected.
    return new Response(bytes, { headers: { 'Content-Type': response.headers.get('Content-Type') ?? '' } });
  }

  /**
   * Deletes all earlier builds but the last: tabs that still show it may ask for parts of it.
   * @returns whether there was an earlier build
   */
  async activate(): Promise<boolean> {
    const earlier = (await this.names()).filter((name) => name !== this.name);
    for (const name of earlier.slice(0, -1)) await this.caches.delete(name);
    return earlier.length > 0;
  }

  /** The file for a request, where it is one of this build or of an earlier one. */
  async answer(url: string, isNavigation: boolean): Promise<Response | undefined> {
    const { pathname } = new URL(url);
    const root = new URL(this.scope).pathname;
    if (!pathname.startsWith(root)) return undefined;
    const path = pathname.slice(root.length);
    const file = isNavigation && path === '' ? 'index.html' : path;
    if (this.hashes.has(file)) return (await this.caches.open(this.name)).match(this.key(file));
    // A part of an earlier build: no other has its name.
    return file.startsWith('assets/') ? this.anywhere(new URL(file, this.scope).href, true) : undefined;
  }

  /** Whether `answer` may have something: known at once, as a service worker has to. */
  knows(url: string, isNavigation: boolean): boolean {
    const { pathname } = new URL(url);
    const root = new URL(this.scope).pathname;
    const path = pathname.slice(root.length);
    if (!pathname.startsWith(root)) return false;
    return this.hashes.has(path) || path.startsWith('assets/') || (isNavigation && path === '');
  }

  private key(path: string): string {
    return new URL(`${path}?${HASH}=${this.hashes.get(path)}`, this.scope).href;
  }

  private async anywhere(key: string, ignoreSearch = false): Promise<Response | undefined> {
    for (const name of (await this.names()).reverse()) {
      const found = await (await this.caches.open(name)).match(key, { ignoreSearch });
      if (found) return found;
    }
    return undefined;
  }

  /** In the order in which they were made. */
  private async names(): Promise<string[]> {
    return (await this.caches.keys()).filter((name) => name.startsWith(`${CACHE} `));
  }
}

async function sha256(bytes: ArrayBuffer): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * A static server for the built page, the package and the fixtures: single ranges, ETags and CORS, as any good file
 * host has them.
 *
 *     node tools/serve.mjs [--port N] [--open]
 *
 * `/` is dist/demo, `/lib/` dist/lib, `/fixtures/` fixtures, `/e2e/` the test pages of e2e/pages,
 * `/e2e-built/` what tests bundled for them: Chrome lets only pages that truly came from this machine read from another of
 * its origins.
 */
import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, extname, join, normalize, sep } from 'node:path';
import { argv, env, platform } from 'node:process';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Taken if it is free. */
const DEFAULT_PORT = 8080;

/** URL prefixes and their folders, longest first. */
const MOUNTS = [
  ['/e2e-built/', join(ROOT, 'dist/e2e')],
  ['/fixtures/', join(ROOT, 'fixtures')],
  ['/e2e/', join(ROOT, 'e2e/pages')],
  ['/lib/', join(ROOT, 'dist/lib')],
  ['/', join(ROOT, 'dist/demo')],
];

/** @type {Record<string, string>} */
const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.md': 'text/markdown; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
  '.wasm': 'application/wasm',
  '.woff2': 'font/woff2',
};

/** Listens on the loopback interface. Port 0 takes a free one. */
export async function serve(/** @type {number} */ port) {
  const server = createServer((request, response) => {
    answer(request, response).catch((/** @type {NodeJS.ErrnoException} */ error) => {
      // A client that goes away in the middle of a file is no trouble of ours.
      if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') console.error(error);
      response.destroy();
    });
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(undefined));
  });
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { server, url: `http://127.0.0.1:${address.port}/` };
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function answer(request, response) {
  response.setHeader('Access-Control-Allow-Origin', '*');
  response.setHeader('Access-Control-Allow-Headers', 'Range, If-Range, If-None-Match');
  response.setHeader('Access-Control-Expose-Headers', 'Accept-Ranges, Content-Length, Content-Range, ETag');
  if (request.method === 'OPTIONS') return void response.writeHead(204).end();
  if (request.method !== 'GET' && request.method !== 'HEAD') return void response.writeHead(405).end();

  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  // Service workers of test pages may have the whole origin, as a site's own have.
  if (pathname.startsWith('/e2e/')) response.setHeader('Service-Worker-Allowed', '/');
  const found = await findFile(pathname);
  if (found === undefined) return void response.writeHead(404, { 'Content-Type': 'text/plain' }).end('Not found\n');

  const { path, size, etag } = found;
  response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader('Cache-Control', 'no-cache');
  response.setHeader('Content-Type', TYPES[extname(path)] ?? 'application/octet-stream');
  response.setHeader('ETag', etag);
  if (request.headers['if-none-match'] === etag) return void response.writeHead(304).end();

  const ifRange = request.headers['if-range'];
  const range = ifRange === undefined || ifRange === etag ? parseRange(request.headers.range, size) : undefined;
  if (range === 'unsatisfiable') {
    return void response.writeHead(416, { 'Content-Range': `bytes */${size}` }).end();
  }
  const { start, end } = range ?? { start: 0, end: size - 1 };
  response.writeHead(range === undefined ? 200 : 206, {
    'Content-Length': end - start + 1,
    ...(range === undefined ? {} : { 'Content-Range': `bytes ${start}-${end}/${size}` }),
  });
  if (request.method === 'HEAD' || size === 0) return void response.end();
  await pipeline(createReadStream(path, { start, end }), response);
}

/** @param {string} urlPath */
async function findFile(urlPath) {
  const [prefix, folder] = /** @type {string[]} */ (MOUNTS.find(([start]) => urlPath.startsWith(start)));
  let path;
  try {
    path = normalize(join(folder, decodeURIComponent(urlPath.slice(prefix.length))));
  } catch {
    return undefined; // a malformed escape
  }
  if (path !== folder && !path.startsWith(folder + sep)) return undefined;
  for (const candidate of [path, join(path, 'index.html')]) {
    const info = await stat(candidate).catch(() => undefined);
    if (info?.isFile()) {
      return {
        path: candidate,
        size: info.size,
        etag: `"${info.size.toString(16)}-${Math.round(info.mtimeMs).toString(16)}"`,
      };
    }
  }
  return undefined;
}

/**
 * One range of bytes, inclusive; undefined where the header is absent or of a kind that may be ignored.
 *
 * @param {string | undefined} header
 * @param {number} size
 * @returns {{ start: number, end: number } | 'unsatisfiable' | undefined}
 */
export function parseRange(header, size) {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined || (first === '' && last === '')) return undefined;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && Number(last) < start) return undefined;
  return start >= size ? 'unsatisfiable' : { start, end };
}

/** Opens the user's browser, unless nobody is there to see it. */
function openInBrowser(/** @type {string} */ url) {
  const headless = platform === 'linux' && !env.DISPLAY && !env.WAYLAND_DISPLAY;
  if (env.CI || headless) return;
  const [command, ...args] =
    platform === 'darwin' ? ['open', url] : platform === 'win32' ? ['cmd', '/c', 'start', '', url] : ['xdg-open', url];
  spawn(command, args, { stdio: 'ignore', detached: true })
    .on('error', () => {}) // no opener: the address is printed
    .unref();
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const portAt = argv.indexOf('--port');
  const { url } = await (portAt === -1 ? serve(DEFAULT_PORT).catch(() => serve(0)) : serve(Number(argv[portAt + 1])));
  console.log(`Serving the demo at ${url} (Ctrl+C to stop)`);
  if (argv.includes('--open')) openInBrowser(url);
}

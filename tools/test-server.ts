/**
 * An HTTP server for tests: files by range, and on demand every way in which a server or a network goes wrong.
 *
 * ```ts
 * const server = await startTestServer({ files: { '/model.gguf': bytes }, folder: 'fixtures/models' });
 * server.behave('/model.gguf', { fail: { status: 503, times: 2 } });
 * await fetch(server.url('/model.gguf'));
 * server.count('/model.gguf'); // { requests, bodyBytes, … }
 * await server.close();
 * ```
 */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

export interface TestServerOptions {
  /** Paths and their bytes. */
  files?: Readonly<Record<string, Uint8Array>>;
  /** Folder whose files are served for all other paths. */
  folder?: string;
  /** Default: any free port. */
  port?: number;
  /** For every path that has no behaviour of its own. */
  behaviour?: Behaviour;
}

export interface Behaviour {
  /** Answer `Range` with 200 and the whole file. */
  ignoreRange?: boolean;
  /** Answer with this status, `times` times (default: always). `methods`: only these, e.g. `['HEAD']`. */
  fail?: { status: number; times?: number; retryAfterSeconds?: number; methods?: readonly string[] };
  /** End the connection after this many bytes of a body, `times` times (default: always). */
  drop?: { afterBytes: number; times?: number };
  /** Answer with 302 to this path or URL. */
  redirectTo?: string;
  /** Send a web page, with status 200, instead of the file. */
  html?: boolean;
  /** Default: derived from the bytes. `null`: send none. */
  etag?: string | null;
  /** Limit of a body's rate. */
  bytesPerSecond?: number;
  /** Send the headers, then nothing until the server closes. */
  stall?: boolean;
  /** `true` (default): allow any origin and expose everything; `'hidden'`: allow, but expose no header; `false`: no CORS. */
  cors?: boolean | 'hidden';
  /** Answer HEAD as usual (default), or with 405. */
  head?: boolean;
  /** Send no Content-Length (the body comes in chunks). */
  noLength?: boolean;
  /** Added to the answer, last. */
  headers?: Readonly<Record<string, string>>;
}

export interface RequestRecord {
  method: string;
  path: string;
  /** The request's Range header. */
  range?: string;
  status: number;
  /** Bytes of body handed to the connection. */
  bodyBytes: number;
  /** Whether the client went away before the end. */
  aborted: boolean;
}

export interface Counts {
  requests: number;
  /** GET requests, without HEAD and OPTIONS. */
  gets: number;
  bodyBytes: number;
}

export interface TestServer {
  readonly origin: string;
  url(path: string): string;
  /** Adds or replaces a file (its ETag follows its bytes). */
  setFile(path: string, bytes: Uint8Array): void;
  removeFile(path: string): void;
  /** Replaces the behaviour for a path; without a behaviour, back to the server's own. */
  behave(path: string, behaviour?: Behaviour): void;
  readonly requests: readonly RequestRecord[];
  /** Of one path, or of all. */
  count(path?: string): Counts;
  resetCounts(): void;
  /** Resolves when `condition` holds for the requests so far; checked whenever one arrives, sends or ends. */
  until(condition: (requests: readonly RequestRecord[]) => boolean): Promise<void>;
  /** Ends open connections, and the server. */
  close(): Promise<void>;
}

const PIECE_BYTES = 64 * 1024;

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const files = new Map(Object.entries(options.files ?? {}));
  const behaviours = new Map<string, Behaviour>();
  const left = new Map<Behaviour, { fail: number; drop: number }>();
  let requests: RequestRecord[] = [];
  let waiting: { condition: (requests: readonly RequestRecord[]) => boolean; resolve: () => void }[] = [];

  const notify = () => {
    waiting = waiting.filter(({ condition, resolve }) => {
      const done = condition(requests);
      if (done) resolve();
      return !done;
    });
  };
  /** How often a behaviour's failures are still due. */
  const dues = (behaviour: Behaviour) => {
    let due = left.get(behaviour);
    if (!due) {
      due = { fail: behaviour.fail?.times ?? Infinity, drop: behaviour.drop?.times ?? Infinity };
      left.set(behaviour, due);
    }
    return due;
  };

  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    const behaviour = behaviours.get(path) ?? options.behaviour ?? {};
    const record: RequestRecord = {
      method: request.method ?? '',
      path,
      range: request.headers.range,
      status: 0,
      bodyBytes: 0,
      aborted: false,
    };
    requests.push(record);
    response.on('close', () => {
      record.aborted = !response.writableFinished;
      notify();
    });
    answer(request, response, path, behaviour, record).catch((error: unknown) => response.destroy(error as Error));
    notify();
  });

  async function answer(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    behaviour: Behaviour,
    record: RequestRecord,
  ): Promise<void> {
    const send = (status: number, headers: Record<string, string> = {}) => {
      record.status = status;
      response.writeHead(status, { ...corsHeaders(behaviour), ...headers, ...behaviour.headers });
    };
    const due = dues(behaviour);
    if (request.method === 'OPTIONS') {
      send(204, { 'access-control-allow-headers': '*', 'access-control-allow-methods': 'GET, HEAD' });
      return void response.end();
    }
    const { fail } = behaviour;
    if (fail && due.fail > 0 && (!fail.methods || fail.methods.includes(record.method))) {
      due.fail--;
      send(fail.status, fail.retryAfterSeconds === undefined ? {} : { 'retry-after': String(fail.retryAfterSeconds) });
      return void response.end('failed on purpose');
    }
    if (behaviour.redirectTo !== undefined) {
      send(302, { location: behaviour.redirectTo });
      return void response.end();
    }
    if (request.method === 'HEAD' && behaviour.head === false) {
      send(405);
      return void response.end();
    }
    if (behaviour.html) {
      send(200, { 'content-type': 'text/html; charset=utf-8' });
      return void response.end('<!doctype html><title>Not a model</title>');
    }

    const file = await openFile(path);
    if (!file) {
      send(404, { 'content-type': 'text/plain' });
      return void response.end('not found');
    }
    const headers: Record<string, string> = { 'content-type': 'application/octet-stream' };
    const etag = behaviour.etag === undefined ? file.etag : behaviour.etag;
    if (etag !== null) headers.etag = etag;

    let [start, end] = [0, file.size];
    const range = behaviour.ignoreRange ? null : /^bytes=(\d+)-(\d*)$/.exec(record.range ?? '');
    if (!behaviour.ignoreRange) headers['accept-ranges'] = 'bytes';
    if (range) {
      start = Number(range[1]);
      end = range[2] ? Math.min(Number(range[2]) + 1, file.size) : file.size;
      if (start >= file.size || end <= start) {
        send(416, { 'content-range': `bytes */${file.size}` });
        return void response.end();
      }
      headers['content-range'] = `bytes ${start}-${end - 1}/${file.size}`;
    }
    if (!behaviour.noLength) headers['content-length'] = String(end - start);
    send(range ? 206 : 200, headers);
    if (request.method === 'HEAD') return void response.end();
    response.flushHeaders();
    if (behaviour.stall) return;

    const dropAt = behaviour.drop && due.drop > 0 ? behaviour.drop.afterBytes : Infinity;
    if (dropAt < end - start) due.drop--;
    for (let at = start; at < end && !response.destroyed; ) {
      const stop = Math.min(at + PIECE_BYTES, end, start + dropAt);
      const piece = await file.read(at, stop);
      await new Promise<void>((resolve) => response.write(piece, () => resolve()));
      record.bodyBytes += stop - at;
      notify();
      // Read anew: a test may speed up what is on its way.
      const { bytesPerSecond } = behaviours.get(path) ?? options.behaviour ?? {};
      if (bytesPerSecond) {
        await new Promise((resolve) => setTimeout(resolve, ((stop - at) / bytesPerSecond) * 1000));
      }
      at = stop;
      if (at - start >= dropAt && at < end) {
        response.socket?.end(); // Not destroyed: what was sent so far still arrives.
        return;
      }
    }
    response.end();
  }

  async function openFile(path: string) {
    const bytes = files.get(path);
    if (bytes) {
      const etag = `"${createHash('sha1').update(bytes).digest('hex')}"`;
      return { size: bytes.length, etag, read: async (start: number, end: number) => bytes.subarray(start, end) };
    }
    if (!options.folder) return undefined;
    const name = join(options.folder, normalize(path)); // An absolute path normalises to one without `..`.
    const info = await stat(name).catch(() => undefined);
    if (!info?.isFile()) return undefined;
    return {
      size: info.size,
      etag: `"${info.size.toString(16)}-${info.mtimeMs.toString(16)}"`,
      read: async (start: number, end: number) => {
        const handle = await open(name);
        try {
          const buffer = new Uint8Array(end - start);
          await handle.read(buffer, 0, buffer.length, start);
          return buffer;
        } finally {
          await handle.close();
        }
      },
    };
  }

  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    url: (path) => origin + path,
    setFile: (path, bytes) => void files.set(path, bytes),
    removeFile: (path) => void files.delete(path),
    behave: (path, behaviour) => {
      // A copy, so that the same object given twice counts its failures anew.
      if (behaviour) behaviours.set(path, { ...behaviour });
      else behaviours.delete(path);
    },
    get requests() {
      return requests;
    },
    count: (path) => {
      const matching = requests.filter((record) => path === undefined || record.path === path);
      return {
        requests: matching.length,
        gets: matching.filter((record) => record.method === 'GET').length,
        bodyBytes: matching.reduce((sum, record) => sum + record.bodyBytes, 0),
      };
    },
    resetCounts: () => {
      requests = [];
    },
    until: (condition) =>
      new Promise((resolve) => {
        waiting.push({ condition, resolve });
        notify();
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function corsHeaders({ cors = true }: Behaviour): Record<string, string> {
  if (cors === false) return {};
  return cors === 'hidden'
    ? { 'access-control-allow-origin': '*' }
    : { 'access-control-allow-origin': '*', 'access-control-expose-headers': '*' };
}

/**
 * Serves models of the true size of Qwen 3.5's largest by range, without having them: see `synthetic-model.ts`.
 * Query parameters of a file's address (they stay when the address of another shard is derived from it):
 *
 * | parameter | effect |
 * |---|---|
 * | `latency=50` | milliseconds before an answer |
 * | `rate=100` | megabytes a second, of all connections with the same `rate` together |
 * | `fail=10` | every tenth request is answered with 503 |
 * | `drop=10` | every tenth body breaks off at its middle |
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type SyntheticFile, syntheticModel, syntheticShapes } from './synthetic-model.ts';

export interface SyntheticServer {
  readonly origin: string;
  /** Addresses of all files, first shards first. */
  readonly urls: readonly string[];
  /** Address of the first file of the model whose file name contains this. */
  url(part: string, query?: string): string;
  readonly requests: readonly { file: string; start: number; end: number; status: number }[];
  /** Bytes of bodies sent. */
  readonly bodyBytes: number;
  resetCounts(): void;
  close(): Promise<void>;
}

export interface SyntheticServerOptions {
  /** Default: any free port. */
  port?: number;
  /** Also offers each model with only so many layers. */
  shortened?: readonly number[];
}

const PIECE_BYTES = 1024 * 1024;
const template = new URL('../fixtures/chat_template.jinja', import.meta.url);

export async function startSyntheticServer({
  port = 0,
  shortened = [4],
}: SyntheticServerOptions = {}): Promise<SyntheticServer> {
  const files = new Map<string, SyntheticFile>();
  for (const shape of Object.values(syntheticShapes)) {
    for (const layers of [shape.layers, ...shortened]) {
      for (const file of syntheticModel(shape, { layers, template: readFileSync(template, 'utf8') })) {
        files.set(`/${file.fileName}`, file);
      }
    }
  }
  let requests: SyntheticServer['requests'][number][] = [];
  let bodyBytes = 0;
  /** Number of requests so far, and when each rate's line is free again. */
  let served = 0;
  const freeAt = new Map<number, number>();

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const setting = (name: string) => Number(searchParams.get(name) ?? 0);
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('access-control-expose-headers', '*');
    if (request.method === 'OPTIONS') {
      response.setHeader('access-control-allow-headers', '*');
      return void response.writeHead(204).end();
    }
    await pause(setting('latency'));
    const file = files.get(decodeURIComponent(pathname));
    if (!file) return void response.writeHead(404).end([...files.keys()].join('\n'));
    served++;
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const start = range ? Number(range[1]) : 0;
    const end = range?.[2] ? Math.min(Number(range[2]) + 1, file.size) : file.size;
    const record = { file: file.fileName, start, end, status: range ? 206 : 200 };
    requests.push(record);
    if (start >= end) record.status = 416;
    else if (setting('fail') > 0 && served % setting('fail') === 0) record.status = 503;
    response.writeHead(record.status, {
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
      etag: `"${file.size}"`,
      ...(record.status < 300 && { 'content-length': String(end - start) }),
      ...(record.status === 206 && { 'content-range': `bytes ${start}-${end - 1}/${file.size}` }),
    });
    if (record.status > 300 || request.method === 'HEAD') return void response.end();
    const stop = setting('drop') > 0 && served % setting('drop') === 0 ? start + (end - start) / 2 : end;
    for (let at = start; at < end && !response.destroyed; ) {
      const next = Math.min(at + PIECE_BYTES, end);
      await new Promise<void>((resolve) => response.write(file.read(at, next), () => resolve()));
      bodyBytes += next - at;
      await inTurn(setting('rate'), next - at);
      at = next;
      if (at >= stop && at < end) return void response.socket?.end();
    }
    response.end();
  }

  /** Connections of one rate share its line. */
  async function inTurn(megabytesPerSecond: number, bytes: number): Promise<void> {
    if (megabytesPerSecond <= 0) return;
    const now = performance.now();
    const free = Math.max(now, freeAt.get(megabytesPerSecond) ?? 0) + bytes / megabytesPerSecond / 1000;
    freeAt.set(megabytesPerSecond, free);
    await pause(free - now);
  }

  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    urls: [...files.keys()].map((path) => origin + path),
    url: (part, query = '') => {
      const path = [...files.keys()].find((name) => name.includes(part));
      if (path === undefined) throw new RangeError(`No synthetic model is called ${part}.`);
      return origin + path + query;
    },
    get requests() {
      return requests;
    },
    get bodyBytes() {
      return bodyBytes;
    },
    resetCounts: () => {
      requests = [];
      bodyBytes = 0;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function pause(ms: number): Promise<void> {
  return ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : Promise.resolve();
}

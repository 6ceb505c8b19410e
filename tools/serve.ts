/**
 * The engine as an OpenAI-compatible server: in Node, on Dawn, behind `engine.fetch`. For programs that speak HTTP, and to
 * try clients of vLLM's on; one request at a time, so no server for many.
 *
 *     node tools/openai-server.mjs MODEL.gguf [--mmproj FILE] [--port 8000] [--host 127.0.0.1] [--context-length TOKENS]
 *                                  [--api-key KEY] [--precision f16|f32]
 *
 * MODEL is a file, the first of several shards' files, or an address. It needs a build (`npm run build`). Where Node runs
 * TypeScript, as from version 22.18 on, `node tools/serve.ts` is the same.
 */
import { openAsBlob } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type * as Library from '../src/index.ts';
import { findDawnAdapter } from './adapters.mjs';
import type * as Dawn from './dawn.mjs';
import { providePngDecoder } from './png-canvas.ts';

export interface ServeOptions {
  /** `engine.fetch`. */
  fetch: typeof globalThis.fetch;
  /** Default: any free port. */
  port?: number;
  /** Default: this machine alone. */
  host?: string;
  /** Asked of every request, as `Authorization: Bearer KEY`. */
  apiKey?: string;
}

/** Answers HTTP requests by a `fetch`. Pages of any origin may ask. */
export async function startServer({
  fetch,
  port = 0,
  host = '127.0.0.1',
  apiKey,
}: ServeOptions): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    answer(request, response, fetch, apiKey).catch((error) => {
      if (!response.destroyed) console.error(error); // else the client went away
      response.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return { server, url: `http://${host}:${(server.address() as AddressInfo).port}/v1` };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  fetch: ServeOptions['fetch'],
  apiKey: string | undefined,
): Promise<void> {
  allowAnyOrigin(request, response);
  const { method = 'GET', url = '/', headers } = request;
  if (method === 'OPTIONS') return void response.writeHead(204).end();
  if (url === '/health') return void response.writeHead(200).end();
  if (apiKey !== undefined && headers.authorization !== `Bearer ${apiKey}`) return send(unauthorized(), response);

  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  const body = method === 'GET' || method === 'HEAD' ? null : (Readable.toWeb(request) as ReadableStream);
  const init: RequestInit & { duplex: 'half' } = { method, body, signal: controller.signal, duplex: 'half' };
  await send(await fetch(new Request(`http://engine${url}`, init)), response);
}

async function send(answer: Response, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  response.flushHeaders(); // a stream begins before its first token
  for await (const chunk of answer.body ?? []) {
    if (!response.write(chunk)) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
    if (response.destroyed) return; // leaving the loop cancels the body, and with it the answer
  }
  response.end();
}

function allowAnyOrigin(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('Access-Control-Allow-Origin', '*');
  response.setHeader('Access-Control-Allow-Methods', 'GET, POST, OPTIONS');
  // Not `*`, which leaves `Authorization` out.
  response.setHeader(
    'Access-Control-Allow-Headers',
    request.headers['access-control-request-headers'] ?? 'Authorization, Content-Type',
  );
  // Chrome asks before a public page may reach a machine at home.
  response.setHeader('Access-Control-Allow-Private-Network', 'true');
}

function unauthorized(): Response {
  const message = 'Incorrect API key provided: this server wants the one that it was started with.';
  const error = { message, type: 'invalid_request_error', param: null, code: 'invalid_api_key' };
  return Response.json({ error }, { status: 401 });
}

const OPTIONS = {
  mmproj: { type: 'string' },
  port: { type: 'string', default: '8000' },
  host: { type: 'string', default: '127.0.0.1' },
  'context-length': { type: 'string' },
  'api-key': { type: 'string' },
  precision: { type: 'string', default: 'auto' },
} as const;

/** Imports a module by its name or address. */
type Import = (name: string) => Promise<unknown>;

/**
 * Loads the model, starts the server, and prints its address.
 * @param load for a caller whose own way to import this file cannot import later
 */
export async function main(args: string[], load: Import = (name) => import(/* @vite-ignore */ name)): Promise<void> {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true });
  const { mmproj, port, host, precision } = values;
  if (positionals.length === 0) throw new Error('Which model? Give the path or address of a .gguf file.');
  if (precision !== 'auto' && precision !== 'f16' && precision !== 'f32') {
    throw new Error(`--precision is auto, f16 or f32, not ${precision}.`);
  }
  providePngDecoder();
  const gpu = await openDawn(load);
  const { Engine } = await library(load);
  const engine = await Engine.load({
    model: await modelInput(positionals),
    ...(mmproj === undefined ? undefined : { mmproj: await modelInput([mmproj]) }),
    contextLength: number(values['context-length'], '--context-length'),
    gpu,
    precision,
    store: 'none',
  });
  const { url } = await startServer({
    fetch: engine.fetch,
    port: number(port, '--port'),
    host,
    apiKey: values['api-key'],
  });
  console.log(`${engine.info.name} on ${engine.info.adapter} answers at ${url}`);
}

function library(load: Import): Promise<typeof Library> {
  const built = load(new URL('../dist/lib/index.js', import.meta.url).href) as Promise<typeof Library>;
  return built.catch((cause) => {
    throw new Error('The library is not built. Run npm run build.', { cause });
  });
}

async function openDawn(load: Import): Promise<GPU> {
  const adapter = await findDawnAdapter();
  if (!adapter) throw new Error('Dawn finds no adapter. Install a Vulkan driver, such as Mesa 25 or newer.');
  Object.assign(process.env, adapter.env); // read by Vulkan's loader, which has not been called yet
  const { createDawn } = (await load(new URL('./dawn.mjs', import.meta.url).href)) as typeof Dawn;
  return createDawn();
}

async function modelInput(places: readonly string[]): Promise<Library.ModelInput> {
  if (places.every((place) => /^https?:/.test(place))) return places.length === 1 ? places[0] : [...places];
  return Promise.all(places.map(async (path) => new File([await openAsBlob(path)], basename(path))));
}

function number(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw new Error(`${option} is a number, not ${text}.`);
  return Number(text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));

/**
 * OpenAI's HTTP interface without a server: requests in, responses out, in this page. Give it to a client as its `fetch`,
 * or answer with it from a service worker or a server of your own.
 */
import type { ModelInfo } from '../engine/types.ts';
import { messageOf, QwenError, throwIfAborted } from '../errors.ts';
import type { Creator } from './engine.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  Completion,
  CompletionChunk,
  CompletionRequest,
} from './types.ts';

/** What answers the requests. */
export interface ApiModel {
  readonly info: ModelInfo;
  readonly chat: { readonly completions: Creator<ChatCompletionRequest, ChatCompletion, ChatCompletionChunk> };
  readonly completions: Creator<CompletionRequest, Completion, CompletionChunk>;
}

/** The body of a response that tells an error. */
export interface ApiErrorBody {
  error: {
    message: string;
    /** `invalid_request_error` where the request is to blame, else `server_error`. */
    type: string;
    /** Request field concerned. */
    param: string | null;
    /** OpenAI's code where it has one, else this package's. */
    code: string | null;
  };
}

interface Call {
  readonly model: ApiModel;
  readonly method: string;
  readonly signal: AbortSignal | undefined;
  /** The body as text. */
  body(): Promise<string>;
  /** Seconds since 1970, when the model was loaded. */
  readonly loadedAt: number;
}

type Route = (call: Call, rest: string) => Response | Promise<Response>;

/** By the end of the path: whatever stands before it is the base that the client was given. */
const ROUTES: readonly { readonly path: RegExp; readonly method: 'GET' | 'POST'; readonly route: Route }[] = [
  { path: /\/chat\/completions$/, method: 'POST', route: (call) => create(call, call.model.chat.completions) },
  { path: /\/completions$/, method: 'POST', route: (call) => create(call, call.model.completions) },
  { path: /\/models$/, method: 'GET', route: (call) => json({ object: 'list', data: [modelObject(call)] }) },
  { path: /\/models\/(.+)$/, method: 'GET', route: oneModel },
];

/**
 * A `fetch` that `model` answers. Like every fetch it rejects only when it is aborted, with the signal's reason; all
 * other trouble is a response with an OpenAI error body.
 */
export function apiFetch(model: ApiModel): typeof globalThis.fetch {
  const loadedAt = Math.floor(Date.now() / 1000);
  return async (input, init) => {
    const request = typeof input === 'object' && 'url' in input ? input : undefined;
    const signal = init?.signal ?? request?.signal;
    throwIfAborted(signal);
    try {
      const method = (init?.method ?? request?.method ?? 'GET').toUpperCase();
      const body = () => (init?.body == null && request ? request.text() : new Response(init?.body).text());
      return await respond(pathOf(request?.url ?? String(input)), { model, method, signal, body, loadedAt });
    } catch (error) {
      throwIfAborted(signal);
      return failure(error);
    }
  };
}

function respond(path: string, call: Call): Response | Promise<Response> {
  const found = ROUTES.filter((route) => route.path.test(path));
  const route = found.find(({ method }) => method === call.method);
  if (route) return route.route(call, route.path.exec(path)?.[1] ?? '');
  if (found.length > 0) {
    const { method } = found[0];
    return errorResponse(405, `${path} takes ${method}, not ${call.method}.`, {}, { allow: method });
  }
  const known = '/v1/chat/completions, /v1/completions and /v1/models';
  return errorResponse(404, `There is no ${path} here. There are ${known}.`, { code: 'unknown_url' });
}

async function create<Request extends { model?: string | null; stream?: boolean | null }, Whole, Chunk>(
  { model, signal, body }: Call,
  end: Creator<Request, Whole, Chunk>,
): Promise<Response> {
  let request: Request;
  try {
    request = JSON.parse(await body());
  } catch (cause) {
    throwIfAborted(signal);
    return errorResponse(400, `The body of the request is not JSON: ${messageOf(cause)}`, {});
  }
  if (typeof request?.model === 'string' && request.model !== model.info.name)
    return unknownModel(model, request.model);
  const answer = await end.create(request, { signal });
  return isStream(answer) ? eventStream(answer, signal) : json(answer);
}

function isStream<T>(answer: unknown): answer is AsyncIterableIterator<T> {
  return typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer;
}

/** Server-sent events, one a chunk, then `[DONE]`. Cancelling the body ends the request, and so does the signal. */
function eventStream(chunks: AsyncIterableIterator<unknown>, signal: AbortSignal | undefined): Response {
  const encoder = new TextEncoder();
  const event = (data: string) => encoder.encode(`data: ${data}\n\n`);
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { value, done } = await chunks.next();
          if (!done) {
            controller.enqueue(event(JSON.stringify(value)));
            return;
          }
          controller.enqueue(event('[DONE]'));
          controller.close();
        } catch (error) {
          if (signal?.aborted) {
            controller.error(error);
            return;
          }
          // The status is long sent: an error within the stream is an event of its own, and the last.
          controller.enqueue(event(JSON.stringify(errorBody(error).body)));
          controller.close();
        }
      },
      async cancel() {
        await chunks.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  const headers = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' };
  return new Response(body, { headers });
}

function oneModel(call: Call, id: string): Response {
  const name = decodeURIComponent(id);
  return name === call.model.info.name ? json(modelObject(call)) : unknownModel(call.model, name);
}

/** OpenAI's, with vLLM's `max_model_len`. */
function modelObject({ model: { info }, loadedAt }: Call) {
  return {
    id: info.name,
    object: 'model',
    created: loadedAt,
    owned_by: 'qwen-webgpu',
    max_model_len: info.contextLength,
  };
}

function unknownModel({ info }: ApiModel, name: string): Response {
  const message = `There is no model ${JSON.stringify(name)} here. This engine holds ${JSON.stringify(info.name)}; name that, or none.`;
  return errorResponse(404, message, { param: 'model', code: 'model_not_found' });
}

function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(value), { status, headers: { 'content-type': 'application/json', ...headers } });
}

function errorResponse(
  status: number,
  message: string,
  { param = null, code = null }: { param?: string | null; code?: string | null },
  headers?: Record<string, string>,
): Response {
  const type = status < 500 ? 'invalid_request_error' : 'server_error';
  // The same engine would say the same again; OpenAI's clients would otherwise ask twice more after a 5xx.
  return json({ error: { message, type, param, code } }, status, { 'x-should-retry': 'false', ...headers });
}

function failure(error: unknown): Response {
  const { status, body } = errorBody(error);
  return errorResponse(status, body.error.message, body.error);
}

/** An abort by somebody else than the caller, as nginx tells it. */
const CLIENT_CLOSED_REQUEST = 499;

/** The request asks for what cannot be given, and would again. */
const REFUSED = new Set(['no-vision', 'bad-image', 'bad-video']);

/** The engine is gone and another has to be loaded. */
const UNAVAILABLE = new Set(['disposed', 'device-lost', 'worker-crashed']);

function errorBody(error: unknown): { status: number; body: ApiErrorBody } {
  const told = (status: number, code: string | null, param: string | null = null) => {
    const type = status < 500 ? 'invalid_request_error' : 'server_error';
    return { status, body: { error: { message: messageOf(error), type, param, code } } };
  };
  if (error instanceof QwenError) {
    const { code, param = null } = error;
    if (code === 'invalid-request') return told(400, null, param);
    if (code === 'context-overflow') return told(400, 'context_length_exceeded', param ?? 'messages');
    if (REFUSED.has(code)) return told(400, code, param);
    return told(UNAVAILABLE.has(code) ? 503 : 500, code, param);
  }
  if (error instanceof Error && error.name === 'AbortError') return told(CLIENT_CLOSED_REQUEST, 'aborted');
  return told(500, null);
}

/** Of a whole address, or of a path that a page would resolve. */
function pathOf(url: string): string {
  return new URL(url, 'http://engine.invalid').pathname.replace(/(.)\/+$/, '$1');
}

/**
 * An engine elsewhere: any server that speaks OpenAI's chat completions, such as vLLM, SGLang or llama.cpp, in the place of
 * one in this page.
 */
import { NO_FIGURES } from '../engine/no-figures.ts';
import { messageOf, QwenError, type QwenErrorCode, throwIfAborted } from '../errors.ts';
import type {
  ChatContentPart,
  ChatEngine,
  ChatMediaPart,
  ChatRequestMessage,
  ChatStreamChunk,
  ChatStreamRequest,
} from './chat-engine.ts';
import { serverEvents } from './server-events.ts';

export interface EndpointOptions {
  /** Base address, with its `/v1`. */
  endpoint: string;
  /** Sent as `Authorization: Bearer KEY`. Whoever can read the page can read it. */
  apiKey?: string;
  /** One of the server's. Default: the first that it lists. */
  model?: string;
  signal?: AbortSignal;
}

/** An engine elsewhere, and what its server offers. */
export interface EndpointEngine extends ChatEngine {
  /** Name and port of the server. */
  readonly host: string;
  /** Names of its models; empty where it lists none. */
  readonly models: readonly string[];
}

/**
 * Asks a server for its models, and gives an engine that asks it for answers.
 *
 * @throws QwenError `network`, `cors`, `unauthorized`, `model-not-found`, `endpoint-error`, `invalid-request`; the signal's
 * reason when aborted
 */
export async function connectEndpoint(options: EndpointOptions): Promise<EndpointEngine> {
  const server = new Endpoint(options);
  const listed = await server.models(options.signal);
  const name = options.model || listed[0]?.id;
  if (!name) {
    throw new QwenError(
      'model-not-found',
      `${server.host} lists no models. Name one of its models (endpoint-model), or start one there.`,
      { file: server.base },
    );
  }
  const model = listed.find(({ id }) => id === name);
  if (listed.length > 0 && !model) {
    const names = listed.map(({ id }) => id).join(', ');
    throw new QwenError('model-not-found', `${server.host} has no model ${name}. It has: ${names}.`, {
      file: server.base,
      param: 'endpoint-model',
    });
  }
  // Rates and times stay at 0: whoever asks sees them better.
  let stats = NO_FIGURES;
  return {
    host: server.host,
    models: listed.map(({ id }) => id),
    // Whether it sees is not told; a server that does not says so when it is shown something.
    info: { name, contextLength: model?.max_model_len ?? 0, vision: true, experts: 0, adapter: server.host },
    chat: {
      completions: {
        create: (request, { signal } = {}) =>
          server.answer(name, request, signal, (usage) => {
            stats = {
              ...stats,
              promptTokens: stats.promptTokens + usage.prompt_tokens,
              completionTokens: stats.completionTokens + usage.completion_tokens,
              reusedTokens: stats.reusedTokens + (usage.prompt_tokens_details?.cached_tokens ?? 0),
            };
          }),
      },
    },
    stats: () => stats,
    dispose: () => {},
  };
}

interface ListedModel {
  readonly id: string;
  /** vLLM's. */
  readonly max_model_len?: number;
}

type Usage = NonNullable<ChatStreamChunk['usage']> & { prompt_tokens_details?: { cached_tokens?: number } | null };

/** Fields of a request that servers may refuse, and that an answer can do without. */
const DISPENSABLE = ['chat_template_kwargs', 'stream_options'] as const;

class Endpoint {
  readonly base: string;
  readonly host: string;
  readonly #headers: Record<string, string>;
  /** Of `DISPENSABLE`, those that this server refused. */
  readonly #refused = new Set<string>();

  constructor({ endpoint, apiKey }: EndpointOptions) {
    let url: URL;
    try {
      url = new URL(endpoint, globalThis.location?.href);
    } catch (cause) {
      throw new QwenError('invalid-request', `${endpoint} is no address. Give one such as https://host/v1.`, {
        param: 'endpoint',
        cause,
      });
    }
    this.base = url.href.replace(/\/+$/, '');
    this.host = url.host;
    this.#headers = apiKey ? { authorization: `Bearer ${apiKey}` } : {};
  }

  /** Empty where the server lists none. */
  async models(signal: AbortSignal | undefined): Promise<ListedModel[]> {
    const response = await this.#fetch('/models', { headers: this.#headers, signal });
    if (response.status === 404) return [];
    if (!response.ok) throw await this.#refusal(response);
    const { data } = (await response.json().catch((cause) => {
      throw this.#error('endpoint-error', `does not answer as an OpenAI-compatible server: ${messageOf(cause)}`);
    })) as { data?: ListedModel[] };
    return Array.isArray(data) ? data : [];
  }

  async *answer(
    model: string,
    request: ChatStreamRequest,
    signal: AbortSignal | undefined,
    onUsage: (usage: Usage) => void,
  ): AsyncGenerator<ChatStreamChunk> {
    const messages = await Promise.all(request.messages.map((message) => portable(message, signal)));
    const response = await this.#ask({ model, ...request, messages }, signal);
    let finished = false;
    for await (const data of this.#events(response, signal)) {
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data) as ChatStreamChunk & { error?: { message?: string; code?: unknown } };
      if (chunk.error) throw this.#told(response.status, chunk.error);
      if (chunk.usage) onUsage(chunk.usage);
      finished ||= chunk.choices?.some((choice) => choice.finish_reason) ?? false;
      yield { ...chunk, choices: (chunk.choices ?? []).map(inOurWords) };
    }
    if (!finished) throw this.#error('network', 'ended the connection before the answer was complete. Ask again.');
  }

  /** Leaves out what this server does not know, once it has said so. */
  async #ask(request: ChatStreamRequest & { model: string }, signal: AbortSignal | undefined): Promise<Response> {
    const body = Object.fromEntries(Object.entries(request).filter(([name]) => !this.#refused.has(name)));
    const response = await this.#fetch('/chat/completions', {
      method: 'POST',
      headers: { ...this.#headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
    if (response.ok) return response;
    const text = await response.clone().text();
    const unknown = DISPENSABLE.filter((name) => name in body && text.includes(name));
    if ((response.status !== 400 && response.status !== 422) || unknown.length === 0)
      throw await this.#refusal(response);
    for (const name of unknown) this.#refused.add(name);
    return this.#ask(request, signal);
  }

  async *#events(response: Response, signal: AbortSignal | undefined): AsyncGenerator<string> {
    try {
      if (response.body) yield* serverEvents(response.body);
    } catch (cause) {
      throwIfAborted(signal);
      throw this.#error('network', 'broke the connection off in the middle of the answer. Ask again.', { cause });
    }
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(this.base + path, init);
    } catch (cause) {
      throwIfAborted(init.signal ?? undefined);
      throw await this.#unreachable(cause, init.signal ?? undefined);
    }
  }

  /** `fetch` gives the same TypeError for a refused origin and for no connection: an opaque request tells them apart. */
  async #unreachable(cause: unknown, signal: AbortSignal | undefined): Promise<QwenError> {
    if (globalThis.navigator?.onLine === false) {
      return this.#error('network', 'cannot be reached: this device is offline. Connect it and try again.', { cause });
    }
    const { protocol, hostname } = new URL(this.base);
    const local = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
    if (globalThis.location?.protocol === 'https:' && protocol === 'http:' && !local) {
      const remedy = 'cannot be asked: a page served over https may not use http. Put the server behind https.';
      return this.#error('network', remedy, { cause });
    }
    try {
      await fetch(this.base, { mode: 'no-cors', cache: 'no-store', signal });
    } catch {
      throwIfAborted(signal);
      const remedy = 'cannot be reached. Check the address, and that the server runs.';
      return this.#error('network', remedy, { cause });
    }
    const allow = `does not let pages of ${globalThis.origin} ask it (CORS). Allow that origin there; vLLM's option is --allowed-origins.`;
    return this.#error('cors', allow, { cause });
  }

  async #refusal(response: Response): Promise<QwenError> {
    const text = await response.text();
    let told: { message?: string; code?: unknown } = { message: text.slice(0, 300) };
    try {
      const body = JSON.parse(text);
      told = body.error ?? (body.message ? body : { message: text.slice(0, 300) });
      if (typeof told === 'string') told = { message: told };
    } catch {
      // A proxy's page, or plain words.
    }
    return this.#told(response.status, told);
  }

  /** An error in OpenAI's shape. */
  #told(status: number, { message = '', code }: { message?: string; code?: unknown }): QwenError {
    const said = message.trim() || `It answered with status ${status}.`;
    if (status === 401 || status === 403) {
      return this.#error('unauthorized', `wants another API key (api-key). It says: ${said}`, { status });
    }
    if (code === 'context_length_exceeded' || /maximum context length/i.test(said)) {
      return new QwenError('context-overflow', said, { file: this.base, status });
    }
    if (code === 'no-vision' || code === 'bad-image' || code === 'bad-video') {
      return new QwenError(code, said, { file: this.base, status });
    }
    if (status === 404) {
      return this.#error('model-not-found', `does not know what was asked for. It says: ${said}`, { status });
    }
    return this.#error('endpoint-error', `reported an error (status ${status}). It says: ${said}`, { status });
  }

  #error(code: QwenErrorCode, what: string, details: { status?: number; cause?: unknown } = {}): QwenError {
    return new QwenError(code, `${this.host} ${what}`, { file: this.base, ...details });
  }
}

type Choice = ChatStreamChunk['choices'][number];

/** Newer vLLM calls thoughts `reasoning`; a server that sends calls whole may leave their place out. */
function inOurWords({ delta = {}, ...choice }: Choice): Choice {
  const { reasoning, tool_calls, ...rest } = delta as Choice['delta'] & { reasoning?: string | null };
  return {
    ...choice,
    delta: {
      ...(reasoning ? { reasoning_content: reasoning } : undefined),
      ...rest,
      ...(tool_calls ? { tool_calls: tool_calls.map((call, i) => ({ ...call, index: call.index ?? i })) } : undefined),
    },
  };
}

/** What a message holds, for a server that does not see this page. */
async function portable(message: ChatRequestMessage, signal: AbortSignal | undefined): Promise<ChatRequestMessage> {
  if (typeof message.content === 'string') return message;
  const content = await Promise.all(
    message.content.map(async (part): Promise<ChatContentPart> => {
      if (part.type === 'text') return part;
      const url = await portableUrl(part.type === 'image_url' ? part.image_url.url : part.video_url.url, signal);
      return part.type === 'image_url'
        ? { ...part, image_url: { ...part.image_url, url } }
        : ({ ...part, video_url: { ...part.video_url, url } } satisfies ChatMediaPart);
    }),
  );
  return { ...message, content };
}

/** Files, and addresses that only this page can read, go along as they are. */
async function portableUrl(url: string | Blob, signal: AbortSignal | undefined): Promise<string> {
  if (url instanceof Blob) return dataUrl(url);
  const { href, protocol, origin } = new URL(url, globalThis.location?.href);
  if (protocol !== 'blob:' && origin !== globalThis.origin) return href;
  const response = await fetch(href, { signal });
  if (!response.ok) {
    throw new QwenError(
      'not-found',
      `${href} could not be read (status ${response.status}). Attach the file instead.`,
      {
        file: href,
        status: response.status,
      },
    );
  }
  return dataUrl(await response.blob());
}

function dataUrl(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/** The engine as a page sees it. */
import type {
  EngineStats,
  LoadOptions,
  MemoryPlan,
  ModelInfo,
  ModelInput,
  PlanOptions,
  Trace,
} from '../engine/types.ts';
import { abortable, QwenError, throwIfAborted } from '../errors.ts';
import { NO_VIDEOS, PageVideos, type VideoFacts } from '../media/index.ts';
import { Channel } from './channel.ts';
import { apiFetch } from './fetch.ts';
import { grammarScript } from './grammar-script.ts';
import { absoluteUrl, portablePart, portableRequest } from './page-media.ts';
import type {
  DetokenizeOptions,
  EngineService,
  OnChunk,
  PageSide,
  Reply,
  ServiceLoadOptions,
  TokenizeOptions,
} from './service.ts';
import { throttled } from './throttled.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  Completion,
  CompletionChunk,
  CompletionRequest,
  MediaSource,
  MediaTokens,
  RequestOptions,
} from './types.ts';

/** Tokens that a trace decodes: the first is left out of its mean. */
const TRACED_TOKENS = 6;

type Streaming<Request> = Request & { stream: true };
type NotStreaming<Request> = Request & { stream?: false | null };

/** One end point of OpenAI's API. */
export interface Creator<Request, Whole, Chunk> {
  /**
   * With `stream: true` resolves to the chunks as soon as the request is accepted; leaving the loop ends the request.
   *
   * @throws QwenError `invalid-request` (with `param`), `context-overflow`, `device-lost`, `worker-crashed`, `disposed`;
   * the signal's reason, an `AbortError` by default, when aborted
   */
  create(request: Streaming<Request>, options?: RequestOptions): Promise<AsyncIterableIterator<Chunk>>;
  create(request: NotStreaming<Request>, options?: RequestOptions): Promise<Whole>;
  create(request: Request, options?: RequestOptions): Promise<Whole | AsyncIterableIterator<Chunk>>;
}

/**
 * A loaded model. Requests run one at a time, in the order they were made.
 *
 * @example
 * const engine = await Engine.load({ model: 'https://host/Qwen3.5-0.8B-Q4_K_M.gguf' });
 * const stream = await engine.chat.completions.create({ messages: [{ role: 'user', content: 'Hello' }], stream: true });
 * for await (const chunk of stream) show(chunk.choices[0]?.delta.content ?? '');
 * await engine.dispose();
 */
export class Engine {
  /** Conversations: OpenAI's chat completions. */
  readonly chat: { readonly completions: Creator<ChatCompletionRequest, ChatCompletion, ChatCompletionChunk> };
  /** Continues a prompt as it is, without the chat template: OpenAI's older completions. */
  readonly completions: Creator<CompletionRequest, Completion, CompletionChunk>;

  /**
   * OpenAI's HTTP interface, answered by this engine: `/v1/chat/completions` and `/v1/completions`, whole or as
   * server-sent events, and `/v1/models`. For clients that take a `fetch`, and for service workers. The base of the
   * address is free; a `model` other than this one's name is not found.
   *
   * @example
   * const client = new OpenAI({ baseURL: 'http://engine/v1', apiKey: '-', fetch: engine.fetch, dangerouslyAllowBrowser: true });
   */
  readonly fetch: typeof globalThis.fetch;

  readonly #service: EngineService;
  /** Calls that wait for the service; they must not wait for ever if it goes. */
  readonly #waiting = new Set<(error: unknown) => void>();
  /** By the file's hash: measuring a video takes a moment. */
  readonly #videoFacts = new Map<string, VideoFacts>();
  #nextId = 1;
  #info?: ModelInfo;
  #stats?: EngineStats;
  #gone?: QwenError;
  #disposal?: Promise<void>;

  private constructor(makeService: (onCrash: (error: QwenError) => void) => EngineService) {
    this.#service = makeService((error) => this.#fail(error));
    this.chat = {
      completions: this.#creator<ChatCompletionRequest, ChatCompletion, ChatCompletionChunk>((...call) =>
        this.#service.chat(...call),
      ),
    };
    this.completions = this.#creator<CompletionRequest, Completion, CompletionChunk>((id, request, onChunk) =>
      this.#service.complete(id, request, onChunk),
    );
    this.fetch = apiFetch(this);
  }

  /**
   * Loads a model: in a worker on `navigator.gpu`, or in this thread on the `gpu` that is given.
   *
   * @throws QwenError with a `code` for each kind of trouble with the file, the store or the device; the signal's reason
   * when aborted
   */
  static async load(options: LoadOptions): Promise<Engine> {
    throwIfAborted(options.signal);
    if (options.gpu) {
      const [{ EngineHost }, { loadTokenModel }] = await Promise.all([
        import('./engine-host.ts'),
        import('../engine/index.ts'),
      ]);
      return Engine.connect(() => new EngineHost(loadTokenModel), options);
    }
    if (typeof navigator === 'undefined' || !('gpu' in navigator) || !navigator.gpu || typeof Worker === 'undefined') {
      throw new QwenError('no-webgpu', noWebGpu());
    }
    const { startWorkerService } = await import('./worker-service.ts');
    return Engine.connect(startWorkerService, options);
  }

  /**
   * What a model would take of this device's GPU memory, how many of its experts would have a place there, and how fast it
   * may be: from its header alone, on the `gpu` given or `navigator.gpu`.
   *
   * @throws QwenError `out-of-memory` where `gpuMemoryBytes` cannot hold it, saying how much would; otherwise as `load`
   */
  static async plan(model: ModelInput, options: PlanOptions = {}): Promise<MemoryPlan> {
    throwIfAborted(options.signal);
    const { planModel } = await import('../engine/index.ts');
    return planModel(absolute(model), options);
  }

  /**
   * Loads through a service made elsewhere.
   * @internal
   */
  static async connect(
    makeService: (onCrash: (error: QwenError) => void) => EngineService,
    options: LoadOptions,
  ): Promise<Engine> {
    const { signal, onProgress, ...plain } = options;
    throwIfAborted(signal);
    const engine = new Engine(makeService);
    try {
      const settings: ServiceLoadOptions = {
        ...plain,
        model: absolute(plain.model),
        grammarScript: grammarScript(),
        ...(plain.mmproj === undefined ? undefined : { mmproj: absolute(plain.mmproj) }),
      };
      engine.#info = await engine.#call(signal, (id) => engine.#service.load(id, settings, onProgress));
      return engine;
    } catch (error) {
      engine.dispose().catch(() => {}); // the first error is the one to tell, and an abort should not wait
      throw error;
    }
  }

  /** Facts about the model. */
  get info(): ModelInfo {
    if (this.#info === undefined) throw disposed();
    return this.#info;
  }

  /**
   * Figures as of the last answer or chunk: totals since load, rates of the last request.
   * @throws QwenError `disposed`
   */
  stats(): EngineStats {
    if (this.#gone) throw this.#gone;
    if (this.#stats === undefined) throw disposed();
    return this.#stats;
  }

  /** Figures as they are now, for a page that shows how experts arrive while no answer runs. */
  async refreshStats(): Promise<EngineStats> {
    this.#stats = await this.#guarded(() => this.#service.stats());
    return this.#stats;
  }

  /** Token ids of a text. Markers in it are plain text unless `special` is set. */
  async tokenize(text: string, options?: TokenizeOptions): Promise<number[]> {
    return this.#guarded(() => this.#service.tokenize(text, options));
  }

  /** The text of token ids; U+FFFD for bytes that are no UTF-8. */
  async detokenize(ids: readonly number[], options?: DetokenizeOptions): Promise<string> {
    return this.#guarded(() => this.#service.detokenize(ids, options));
  }

  /**
   * What a picture or video would cost in a message, without the vision tower's work: it is fetched, and as much of it
   * decoded as its size and length ask for.
   *
   * @throws QwenError `no-vision` when the model was loaded without `mmproj` (see `info.vision`), `bad-image`, `bad-video`,
   * `not-found`, `network`, `cors`, `invalid-request`; the signal's reason when aborted
   */
  async countMediaTokens(source: MediaSource, options: RequestOptions = {}): Promise<MediaTokens> {
    const { signal, onMediaProgress } = options;
    const part = await portablePart(source);
    const page = this.#page(signal, onMediaProgress);
    return this.#call(signal, (id) => this.#service.countMediaTokens(id, part, page)).finally(page.close);
  }

  /** Raw logits `[n_vocab]` after the last of `ids`; with `all`, `[ids.length, n_vocab]` after each of them. */
  logits(ids: readonly number[], options: { all?: boolean; signal?: AbortSignal } = {}): Promise<Float32Array> {
    return this.#call(options.signal, (id) => this.#service.logits(id, ids, options.all ?? false));
  }

  /**
   * What the GPU does for an answer: reads `ids`, decodes some tokens greedily, and times every dispatch. It waits its turn like
   * a request, is slower than an answer, since each dispatch becomes a pass of its own, and forgets what could be reused of
   * the last conversation. Costs nothing where it is not called.
   *
   * @throws QwenError `invalid-request`, `context-overflow`, `device-lost`, `disposed`; the signal's reason when aborted
   */
  trace(ids: readonly number[], options: { tokens?: number; signal?: AbortSignal } = {}): Promise<Trace> {
    return this.#call(options.signal, (id) => this.#service.trace(id, ids, options.tokens ?? TRACED_TOKENS));
  }

  /** Ends running requests, frees the GPU's memory, stops the worker. Later calls fail with `disposed`; this one may be repeated. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  async #dispose(): Promise<void> {
    const crashed = this.#gone !== undefined;
    this.#fail(disposed());
    if (!crashed) await this.#service.dispose();
  }

  /** Ends every waiting call, and all that come. */
  #fail(error: QwenError): void {
    this.#gone = error;
    for (const reject of this.#waiting) reject(error);
    this.#waiting.clear();
  }

  /** Runs a call that can be aborted, and keeps the figures that come with its answer. */
  async #call<T>(signal: AbortSignal | undefined, start: (id: number) => Promise<Reply<T>>): Promise<T> {
    throwIfAborted(signal);
    const id = this.#nextId++;
    const abort = () => {
      this.#service.abort(id).catch(() => {}); // the call itself already ends with the signal's reason
    };
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const { result, stats } = await abortable(
        this.#guarded(() => start(id)),
        signal,
      );
      this.#stats = stats;
      return result;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  #guarded<T>(start: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#gone) {
        reject(this.#gone);
        return;
      }
      this.#waiting.add(reject);
      start()
        .then(resolve, reject)
        .finally(() => this.#waiting.delete(reject));
    });
  }

  /** What a request's pictures and videos need of this page. */
  #page(signal?: AbortSignal, onProgress?: RequestOptions['onMediaProgress']): PageSide & { close(): void } {
    const progress = throttled((report) => {
      if (!signal?.aborted) onProgress?.(report);
    });
    const onBytes = (loaded: number, total: number) => progress({ phase: 'download', loaded, total });
    const videos = typeof document === 'undefined' ? undefined : new PageVideos(this.#videoFacts, onBytes, signal);
    const { open, frame } = videos ?? NO_VIDEOS;
    return {
      progress,
      open: open.bind(videos),
      frame: frame.bind(videos),
      close: () => videos?.close(),
    };
  }

  #creator<Request extends { stream?: boolean | null }, Whole, Chunk>(
    send: (
      id: number,
      request: Request,
      onChunk?: OnChunk<Chunk>,
      page?: PageSide,
    ) => Promise<Reply<Whole | undefined>>,
  ): Creator<Request, Whole, Chunk> {
    const create = async (request: Request, { signal, onMediaProgress }: RequestOptions = {}) => {
      const { request: plain, media } = await portableRequest(request);
      const page = media > 0 ? this.#page(signal, onMediaProgress) : undefined;
      if (!plain?.stream) {
        return (await this.#call(signal, (id) => send(id, plain, undefined, page)).finally(page?.close)) as Whole;
      }
      return this.#stream<Chunk>(signal, (id, onChunk) => send(id, plain, onChunk, page), page?.close);
    };
    return { create } as Creator<Request, Whole, Chunk>;
  }

  async #stream<Chunk>(
    signal: AbortSignal | undefined,
    start: (id: number, onChunk: OnChunk<Chunk>) => Promise<Reply<unknown>>,
    onEnd: () => void = () => {},
  ): Promise<AsyncIterableIterator<Chunk>> {
    throwIfAborted(signal);
    const controller = new AbortController();
    const abort = () => controller.abort(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    const channel = new Channel<Chunk>(() => controller.abort());
    this.#call(controller.signal, (id) =>
      start(id, (chunk, stats) => {
        this.#stats = stats;
        channel.push(chunk);
      }),
    )
      .then(
        () => channel.close(),
        (error) => channel.fail(error),
      )
      .finally(() => {
        signal?.removeEventListener('abort', abort);
        onEnd();
      });
    await channel.opened;
    return channel;
  }
}

/** Addresses as the page means them: a worker would resolve relative ones against its own script. */
function absolute(input: ModelInput): ModelInput {
  if (typeof input === 'string') return absoluteUrl(input);
  if (Array.isArray(input))
    return input.map((part) => (typeof part === 'string' ? absoluteUrl(part) : part)) as ModelInput;
  return input;
}

function disposed(): QwenError {
  return new QwenError('disposed', 'This engine was disposed. Call Engine.load for a new one.');
}

function noWebGpu(): string {
  if (typeof navigator === 'undefined' || typeof Worker === 'undefined' || typeof document === 'undefined') {
    return "There is no WebGPU here. In Node, pass gpu: Dawn's, by create([]) of the package webgpu.";
  }
  if (!globalThis.isSecureContext) {
    return 'WebGPU needs a secure page: open this one over https, or from localhost.';
  }
  return 'This browser has no WebGPU. Use a recent Chrome or Edge, Safari 26, or Firefox 141; on Linux, Chrome may need chrome://flags/#enable-unsafe-webgpu.';
}

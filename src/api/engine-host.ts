/**
 * Everything behind the worker's border: the model, its tokenizer and template, the queue of requests. Knows neither
 * workers nor pages; `Engine` calls it directly where `gpu` is given, else through Comlink.
 */
import type { EngineStats, LoadOptions, LoadProgress, ModelInfo, PromptImage, TokenModel } from '../engine/types.ts';
import { QwenError, throwIfAborted } from '../errors.ts';
import { ImageLoader } from '../media/index.ts';
import { ChatTemplate, decode, samplingSettings, Tokenizer } from '../text/index.ts';
import type { GgufMetadata } from '../weights/types.ts';
import { answer, type Job, type Piece, type ToolUse } from './answer.ts';
import { type AnswerFormat, chatFormat, completionFormat } from './formats.ts';
import { Queue } from './queue.ts';
import type {
  DetokenizeOptions,
  EngineService,
  OnChunk,
  Reply,
  ServiceLoadOptions,
  TokenizeOptions,
} from './service.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  Completion,
  CompletionChunk,
  CompletionRequest,
  GenerationRequest,
} from './types.ts';
import {
  checkChatRequest,
  checkCompletionRequest,
  invalid,
  type RequestedImage,
  requestedImages,
  stopStrings,
  templateMessages,
} from './validate.ts';

export type LoadTokenModel = (options: LoadOptions) => Promise<{ model: TokenModel; metadata: GgufMetadata }>;

/** OpenAI's default for bare completions. */
const COMPLETION_MAX_TOKENS = 16;

const TURN_START = '<|im_start|>';

/** What the template writes once for an image. */
const IMAGE_PAD = '<|image_pad|>';

/** Markers that end the assistant's turn, besides the file's own end token. */
const END_MARKERS = ['<|im_end|>', '<|endoftext|>'];

interface Loaded {
  readonly model: TokenModel;
  readonly tokenizer: Tokenizer;
  readonly metadata: GgufMetadata;
  readonly stopIds: ReadonlySet<number>;
}

export class EngineHost implements EngineService {
  readonly #loadTokenModel: LoadTokenModel;
  readonly #queue = new Queue();
  readonly #images = new ImageLoader();
  readonly #running = new Map<number, AbortController>();
  #loaded?: Loaded;
  #template?: ChatTemplate;
  #disposed = false;

  constructor(loadTokenModel: LoadTokenModel) {
    this.#loadTokenModel = loadTokenModel;
  }

  load(
    id: number,
    options: ServiceLoadOptions,
    onProgress?: (progress: LoadProgress) => void,
  ): Promise<Reply<ModelInfo>> {
    return this.#abortable(id, async (signal) => {
      const { model, metadata } = await this.#loadTokenModel({ ...options, onProgress, signal });
      try {
        throwIfAborted(signal);
        const tokenizer = new Tokenizer(metadata, model.info.name);
        this.#loaded = { model, metadata, tokenizer, stopIds: endTokens(metadata, tokenizer) };
      } catch (error) {
        await model.dispose();
        throw error;
      }
      return this.#reply(model.info);
    });
  }

  chat(
    id: number,
    request: ChatCompletionRequest,
    onChunk?: OnChunk<ChatCompletionChunk>,
  ): Promise<Reply<ChatCompletion | undefined>> {
    return this.#abortable(id, async (signal) => {
      const job = await this.#chatJob(request, signal);
      return this.#run(job, chatFormat(job, this.#ready.model.info.name), signal, onChunk);
    });
  }

  complete(
    id: number,
    request: CompletionRequest,
    onChunk?: OnChunk<CompletionChunk>,
  ): Promise<Reply<Completion | undefined>> {
    return this.#abortable(id, (signal) => {
      const job = this.#completionJob(request);
      return this.#run(job, completionFormat(job, this.#ready.model.info.name), signal, onChunk);
    });
  }

  logits(id: number, ids: readonly number[], all: boolean): Promise<Reply<Float32Array>> {
    return this.#abortable(id, (signal) => {
      const { model } = this.#ready;
      this.#checkIds(ids, 'ids');
      const { contextLength } = model.info;
      if (ids.length > contextLength) throw overflow(ids.length, contextLength);
      return this.#queue.run(async () => this.#reply(await model.logits(ids, { all, signal })), signal);
    });
  }

  async tokenize(text: string, options?: TokenizeOptions): Promise<number[]> {
    if (typeof text !== 'string') throw invalid('text', 'text must be a string');
    return this.#ready.tokenizer.encode(text, options);
  }

  async detokenize(ids: readonly number[], options?: DetokenizeOptions): Promise<string> {
    const { tokenizer } = this.#ready;
    this.#checkIds(ids, 'ids', { empty: true });
    return decode(tokenizer, ids, options);
  }

  async stats(): Promise<EngineStats> {
    return this.#ready.model.stats();
  }

  async abort(id: number): Promise<void> {
    this.#running.get(id)?.abort();
  }

  /** Ends running calls and gives the model's memory back, once they have let go of it. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const controller of this.#running.values()) controller.abort(disposed());
    await this.#queue.run(async () => this.#loaded?.model.dispose());
  }

  get #ready(): Loaded {
    if (this.#disposed || this.#loaded === undefined) throw disposed();
    return this.#loaded;
  }

  async #abortable<T>(id: number, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#running.set(id, controller);
    try {
      return await task(controller.signal);
    } finally {
      this.#running.delete(id);
    }
  }

  #reply<T>(result: T): Reply<T> {
    return { result, stats: this.#ready.model.stats() };
  }

  async #run<Whole, Chunk>(
    job: Job,
    format: AnswerFormat<Whole, Chunk>,
    signal: AbortSignal,
    onChunk: OnChunk<Chunk> | undefined,
  ): Promise<Reply<Whole | undefined>> {
    const { model, tokenizer } = this.#ready;
    let sent: void | Promise<void>;
    const send = (chunk: Chunk | undefined) => {
      if (chunk !== undefined) sent = onChunk?.(chunk, model.stats());
    };
    send(format.opening());
    return this.#queue.run(async () => {
      const pieces: Piece[] = [];
      const parts = answer(model, tokenizer, job, signal);
      const outcome = await outcomeOf(parts, (piece) => {
        throwIfAborted(signal);
        if (onChunk) send(format.chunk(piece));
        else pieces.push(piece);
      });
      if (!onChunk) return this.#reply(format.whole(pieces, outcome));
      send(format.closing(outcome));
      if (job.includeUsage) send(format.usage(outcome.usage));
      // Chunks and answers travel on different ports: without this the end could overtake the last chunk.
      await sent;
      return this.#reply(undefined);
    }, signal);
  }

  async #chatJob(request: ChatCompletionRequest, signal: AbortSignal): Promise<Job> {
    const { tokenizer, metadata, model } = this.#ready;
    checkChatRequest(request);
    const variables = request.chat_template_kwargs ?? {};
    const tools = toolUse(request);
    // A call that has to come stands at the beginning of the answer, where there is no room for thoughts.
    const enable_thinking = tools?.opening
      ? false
      : (request.enable_thinking ?? variables.enable_thinking ?? undefined);
    this.#template ??= new ChatTemplate(metadata, tokenizer.special, model.info.name);
    const rendered = this.#template.render({
      ...variables,
      enable_thinking: enable_thinking as boolean | undefined,
      messages: templateMessages(request.messages),
      tools: tools && (request.tools ?? undefined),
    });
    const encoded = tokenizer.encode(rendered.guarded + (tools?.opening ?? ''), {
      special: true,
      guard: rendered.guard,
    });
    const { promptIds, images } = await this.#placeImages(encoded, requestedImages(request.messages), signal);
    const thinking = rendered.opensThinking;
    return this.#job(request, {
      promptIds,
      images,
      thinking,
      tools,
      checkpoints: this.#turnStarts(promptIds),
      mode: thinking ? 'thinking' : 'standard',
      maxTokens: request.max_completion_tokens ?? request.max_tokens ?? Infinity,
      topLogprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
    });
  }

  /** Repeats the template's mark of each picture once per token of it. */
  async #placeImages(
    ids: readonly number[],
    requested: readonly RequestedImage[],
    signal: AbortSignal,
  ): Promise<{ promptIds: readonly number[]; images: readonly PromptImage[] }> {
    if (requested.length === 0) return { promptIds: ids, images: [] };
    const { model, tokenizer } = this.#ready;
    const limits = await model.vision(signal);
    const pad = tokenizer.specialId(IMAGE_PAD);
    if (ids.filter((id) => id === pad).length !== requested.length) {
      throw new QwenError(
        'unsupported-gguf',
        `${model.info.name}: its chat template does not mark each image with ${IMAGE_PAD}, so images cannot be placed.`,
      );
    }
    const promptIds: number[] = [];
    const images: PromptImage[] = [];
    for (const id of ids) {
      if (id !== pad) {
        promptIds.push(id);
        continue;
      }
      const { url, param } = requested[images.length];
      const { key, width, height, tokens, pixels } = await this.#images.prepare(url, param, limits, signal);
      images.push({ first: promptIds.length, key, width, height, pixels });
      for (let i = 0; i < tokens; i++) promptIds.push(id);
    }
    return { promptIds, images };
  }

  #completionJob(request: CompletionRequest): Job {
    const { tokenizer } = this.#ready;
    checkCompletionRequest(request);
    const { prompt } = request;
    const promptIds = typeof prompt === 'string' ? tokenizer.encode(prompt, { special: true }) : prompt;
    this.#checkIds(promptIds, 'prompt');
    return this.#job(request, {
      promptIds,
      thinking: false,
      mode: 'completion',
      maxTokens: request.max_tokens ?? COMPLETION_MAX_TOKENS,
      topLogprobs: request.logprobs ?? undefined,
      echo: request.echo ? (typeof prompt === 'string' ? prompt : decode(tokenizer, prompt)) : '',
    });
  }

  #job(
    request: GenerationRequest,
    task: {
      promptIds: readonly number[];
      images?: readonly PromptImage[];
      thinking: boolean;
      mode: 'thinking' | 'standard' | 'completion';
      maxTokens: number;
      topLogprobs?: number;
      echo?: string;
      tools?: ToolUse;
      checkpoints?: readonly number[];
    },
  ): Job {
    const { model, stopIds } = this.#ready;
    const { contextLength, vocabularySize } = model.info;
    const room = contextLength - task.promptIds.length;
    const sampling = samplingSettings(request, task.mode, vocabularySize);
    if (room < 1) throw overflow(task.promptIds.length, contextLength);
    return {
      promptIds: task.promptIds,
      thinking: task.thinking,
      tools: task.tools,
      stops: stopStrings(request.stop),
      echo: task.echo ?? '',
      returnTokenIds: request.return_token_ids ?? false,
      includeUsage: request.stream_options?.include_usage ?? false,
      generate: {
        maxTokens: Math.min(task.maxTokens, room),
        sampling,
        stopIds: request.ignore_eos ? new Set() : stopIds,
        topLogprobs: task.topLogprobs,
        checkpoints: task.checkpoints,
        images: task.images,
      },
    };
  }

  /**
   * Where the second turn and the answer begin. Every chat of a page shares its system message; and the next request of
   * a chat is the same up to where the answer begins, but not behind it: thoughts are left out of earlier answers.
   */
  #turnStarts(promptIds: readonly number[]): readonly number[] | undefined {
    const start = this.#ready.tokenizer.specialId(TURN_START);
    if (start === undefined) return undefined;
    const second = promptIds.indexOf(start, 1);
    return second < 0 ? undefined : [...new Set([second, promptIds.lastIndexOf(start)])];
  }

  #checkIds(ids: readonly number[], param: string, { empty = false } = {}): void {
    const { vocabularySize } = this.#ready.model.info;
    if (!Array.isArray(ids)) throw invalid(param, `${param} must be a list of token ids`);
    if (ids.length === 0 && !empty) throw invalid(param, `${param} is empty; at least one token is needed`);
    const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabularySize);
    if (wrong < 0) return;
    throw invalid(param, `${param}[${wrong}] is ${ids[wrong]}; this model's tokens go from 0 to ${vocabularySize - 1}`);
  }
}

/** Undefined where the model is to know of no tools. */
function toolUse({ tools, tool_choice, parallel_tool_calls }: ChatCompletionRequest): ToolUse | undefined {
  if (!tools?.length || tool_choice === 'none') return undefined;
  const named = typeof tool_choice === 'object' && tool_choice !== null ? tool_choice.function.name : undefined;
  // With one tool, to require any is to require that one.
  const name = named ?? (tool_choice === 'required' && tools.length === 1 ? tools[0].function.name : undefined);
  let opening = '';
  if (name !== undefined) opening = `<tool_call>\n<function=${name}>\n`;
  else if (tool_choice === 'required') opening = '<tool_call>\n<function=';
  return {
    schemas: tools.map((tool) => ({ name: tool.function.name, parameters: tool.function.parameters })),
    opening,
    mostCalls: named !== undefined || parallel_tool_calls === false ? 1 : Infinity,
  };
}

/** What a generator returns, when each value it yields has gone to `take`; it is closed if `take` throws. */
async function outcomeOf<T, R>(parts: AsyncGenerator<T, R, void>, take: (part: T) => void): Promise<R> {
  try {
    let part = await parts.next();
    while (!part.done) {
      take(part.value);
      part = await parts.next();
    }
    return part.value;
  } finally {
    await parts.return(undefined as never);
  }
}

function endTokens(metadata: GgufMetadata, tokenizer: Tokenizer): Set<number> {
  const ids = END_MARKERS.map((marker) => tokenizer.specialId(marker));
  const eos = metadata.get('tokenizer.ggml.eos_token_id');
  if (typeof eos === 'number') ids.push(eos);
  return new Set(ids.filter((id) => id !== undefined));
}

function overflow(tokens: number, contextLength: number): QwenError {
  return new QwenError(
    'context-overflow',
    `The prompt has ${tokens} tokens and the context holds ${contextLength}, which must leave room for an answer. Shorten the conversation, or load with a larger contextLength.`,
  );
}

function disposed(): QwenError {
  return new QwenError('disposed', 'This engine is not loaded, or was disposed. Call Engine.load for a new one.');
}

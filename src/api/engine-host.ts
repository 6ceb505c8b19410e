/**
 * Everything behind the worker's border: the model, its tokenizer and template, the queue of requests. Knows neither
 * workers nor pages; `Engine` calls it directly where `gpu` is given, else through Comlink.
 */
import type {
  EngineStats,
  LoadOptions,
  LoadProgress,
  ModelInfo,
  OnVision,
  PromptImage,
  TokenModel,
  Trace,
  VisionLimits,
} from '../engine/types.ts';
import { abortable, QwenError, throwIfAborted } from '../errors.ts';
import { MediaLoader, NO_VIDEOS, type PreparedImage } from '../media/index.ts';
import {
  type AnswerGrammar,
  ChatTemplate,
  decode,
  Grammars,
  isGreedy,
  samplingSettings,
  Tokenizer,
  type TokenMask,
  type UnfinishedAnswer,
} from '../text/index.ts';
import type { GgufMetadata } from '../weights/types.ts';
import { answer, type Job, type Piece, type ToolUse } from './answer.ts';
import { answerGrammar } from './answer-grammar.ts';
import { invalid } from './checks.ts';
import { checkPart, type RequestedMedia, requestedMedia } from './content-parts.ts';
import { type AnswerFormat, chatFormat, completionFormat } from './formats.ts';
import { grammarScript, loadGrammarLibrary, noGrammar } from './grammar-script.ts';
import { Queue } from './queue.ts';
import type {
  DetokenizeOptions,
  EngineService,
  OnChunk,
  PageSide,
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
  ImagePart,
  MediaTokens,
  VideoPart,
} from './types.ts';
import { checkChatRequest, checkCompletionRequest, stopStrings, templateMessages } from './validate.ts';
import { type Media, markMedia, marksOf, PADS, picturesOf } from './vision-marks.ts';

export type LoadTokenModel = (options: LoadOptions) => Promise<{ model: TokenModel; metadata: GgufMetadata }>;

/** OpenAI's default for bare completions. */
const COMPLETION_MAX_TOKENS = 16;

const TURN_START = '<|im_start|>';

/** Markers that end the assistant's turn, besides the file's own end token. */
const END_MARKERS = ['<|im_end|>', '<|endoftext|>'];

/** A picture's source behind the page's border. */
type Received = string | Blob | ImageBitmap;

interface Loaded {
  readonly model: TokenModel;
  readonly tokenizer: Tokenizer;
  readonly metadata: GgufMetadata;
  readonly stopIds: ReadonlySet<number>;
  readonly grammars: Grammars;
  readonly greedy: boolean;
}

export class EngineHost implements EngineService {
  readonly #loadTokenModel: LoadTokenModel;
  readonly #queue = new Queue();
  readonly #media = new MediaLoader();
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
        const stopIds = endTokens(metadata, tokenizer);
        const grammars = new Grammars(tokenizer, stopIds, () =>
          loadGrammarLibrary(options.grammarScript ?? grammarScript()),
        );
        this.#loaded = { model, metadata, tokenizer, stopIds, grammars, greedy: isGreedy(metadata) };
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
    page?: PageSide,
  ): Promise<Reply<ChatCompletion | undefined>> {
    return this.#abortable(id, async (signal) => {
      const job = await this.#chatJob(request, page, signal);
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

  countMediaTokens(id: number, part: ImagePart | VideoPart, page?: PageSide): Promise<Reply<MediaTokens>> {
    return this.#abortable(id, async (signal) => {
      checkPart(part, 'source');
      const param = `source.${part.type}.url`;
      const media = await this.#prepare({ part, param }, page, await this.#ready.model.vision(signal), signal);
      const { width, height } = media;
      const { tokenizer } = this.#ready;
      const pictures = picturesOf(media);
      const marks = tokenizer.encode(marksOf(media), { special: true }).length - pictures.length;
      const tokens = pictures.reduce((sum, picture) => sum + picture.tokens, marks);
      const video = 'pairs' in media ? { frames: media.frames, seconds: media.seconds } : undefined;
      return this.#reply({ tokens, width, height, ...video });
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

  trace(id: number, ids: readonly number[], tokens: number): Promise<Reply<Trace>> {
    return this.#abortable(id, (signal) => {
      const { model } = this.#ready;
      this.#checkIds(ids, 'ids');
      if (!Number.isInteger(tokens) || tokens < 1) throw invalid('tokens', 'tokens must be a whole number above 0');
      if (ids.length + tokens > model.info.contextLength) throw overflow(ids.length, model.info.contextLength);
      return this.#queue.run(async () => this.#reply(await model.trace(ids, tokens, signal)), signal);
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
      const mask = await this.#mask(job);
      const parts = answer(model, tokenizer, job, mask, signal);
      const outcome = await outcomeOf(parts, (piece) => {
        throwIfAborted(signal);
        if (onChunk) send(format.chunk(piece));
        else pieces.push(piece);
      }).finally(() => mask?.dispose());
      if (!onChunk) return this.#reply(format.whole(pieces, outcome));
      send(format.closing(outcome));
      if (job.includeUsage) send(format.usage(outcome.usage));
      // Chunks and answers travel on different ports: without this the end could overtake the last chunk.
      await sent;
      return this.#reply(undefined);
    }, signal);
  }

  async #mask({ grammar, thinking, opening }: Job): Promise<TokenMask | undefined> {
    if (!grammar) return undefined;
    try {
      return await this.#ready.grammars.mask(grammar, { thinking, opening });
    } catch (error) {
      throw error instanceof QwenError ? error : noGrammar(error);
    }
  }

  async #chatJob(request: ChatCompletionRequest, page: PageSide | undefined, signal: AbortSignal): Promise<Job> {
    const { tokenizer, metadata, model } = this.#ready;
    checkChatRequest(request);
    const variables = request.chat_template_kwargs ?? {};
    const tools = toolUse(request);
    const grammar = answerGrammar(request, tools);
    // A call that has to come stands at the beginning of the answer, where there is no room for thoughts.
    const enable_thinking = tools?.opening
      ? false
      : (request.enable_thinking ?? variables.enable_thinking ?? undefined);
    this.#template ??= new ChatTemplate(metadata, tokenizer.special, model.info.name);
    const { messages, unfinished } = splitUnfinished(request);
    const rendered = this.#template.render({
      ...variables,
      enable_thinking: enable_thinking as boolean | undefined,
      messages: templateMessages(messages),
      unfinished,
      tools: tools && (request.tools ?? undefined),
    });
    const media = await this.#prepareAll(requestedMedia(request.messages), page, signal);
    const marked = markMedia(rendered.guarded, media, model.info.name);
    const encoded = tokenizer.encode(marked + (tools?.opening ?? ''), {
      special: true,
      guard: rendered.guard,
    });
    const { promptIds, images } = this.#placeImages(encoded, media.flatMap(picturesOf));
    const thinking = rendered.withinThinking;
    return this.#job(request, {
      promptIds,
      images,
      onVision: page && ((progress) => void page.progress(progress)),
      thinking,
      tools,
      grammar,
      opening: tools?.opening || (thinking ? '' : (unfinished?.content.trimStart() ?? '')),
      checkpoints: this.#checkpoints(promptIds, images),
      resumed: thinking && unfinished !== undefined && unfinished.reasoning.trim() !== '',
      mode: rendered.opensThinking ? 'thinking' : 'standard',
      maxTokens: request.max_completion_tokens ?? request.max_tokens ?? Infinity,
      topLogprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
    });
  }

  async #prepareAll(
    requested: readonly RequestedMedia[],
    page: PageSide | undefined,
    signal: AbortSignal,
  ): Promise<Media[]> {
    if (requested.length === 0) return [];
    const limits = await this.#ready.model.vision(signal);
    const media: Media[] = [];
    for (const item of requested) media.push(await this.#prepare(item, page, limits, signal));
    return media;
  }

  #prepare(
    { part, param }: RequestedMedia,
    page: PageSide | undefined,
    limits: VisionLimits,
    signal: AbortSignal,
  ): Promise<Media> {
    if (part.type === 'image_url') return this.#media.image(part.image_url.url as Received, param, limits, signal);
    const { url, fps, max_frames } = part.video_url;
    const options = { fps: fps ?? undefined, maxFrames: max_frames ?? undefined };
    const prepared = this.#media.video(url as string | Blob, param, options, limits, page ?? NO_VIDEOS);
    return abortable(prepared, signal);
  }

  /** Repeats the mark of each picture, or pair of frames, once per token of it. */
  #placeImages(
    ids: readonly number[],
    pictures: readonly PreparedImage[],
  ): { promptIds: readonly number[]; images: readonly PromptImage[] } {
    if (pictures.length === 0) return { promptIds: ids, images: [] };
    const { tokenizer } = this.#ready;
    const pads = new Set(PADS.map((pad) => tokenizer.specialId(pad)));
    const promptIds: number[] = [];
    const images: PromptImage[] = [];
    for (const id of ids) {
      if (!pads.has(id)) {
        promptIds.push(id);
        continue;
      }
      const { key, width, height, tokens, pixels } = pictures[images.length];
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
      onVision?: OnVision;
      thinking: boolean;
      resumed?: boolean;
      mode: 'thinking' | 'standard' | 'completion';
      maxTokens: number;
      topLogprobs?: number;
      echo?: string;
      tools?: ToolUse;
      grammar?: AnswerGrammar;
      opening?: string;
      checkpoints?: readonly number[];
    },
  ): Job {
    const { model, stopIds, greedy } = this.#ready;
    const { contextLength, vocabularySize } = model.info;
    const room = contextLength - task.promptIds.length;
    const sampling = samplingSettings(request, task.mode, vocabularySize, greedy);
    if (room < 1) throw overflow(task.promptIds.length, contextLength);
    return {
      promptIds: task.promptIds,
      thinking: task.thinking,
      resumed: task.resumed ?? false,
      tools: task.tools,
      grammar: task.grammar,
      opening: task.opening,
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
        onVision: task.onVision,
      },
    };
  }

  /**
   * Where the second turn and the answer begin, and where the last picture ends. Every chat of a page shares its system
   * message; the next request of a chat is the same up to where the answer begins, but not behind it: thoughts are left
   * out of earlier answers; and another question about the same picture is the same up to its end.
   */
  #checkpoints(promptIds: readonly number[], images: readonly PromptImage[]): readonly number[] | undefined {
    const start = this.#ready.tokenizer.specialId(TURN_START);
    if (start === undefined) return undefined;
    const second = promptIds.indexOf(start, 1);
    if (second < 0) return undefined;
    const places = [second, promptIds.lastIndexOf(start)];
    const last = images.at(-1);
    if (last) places.push(promptIds.lastIndexOf(promptIds[last.first]) + 1);
    return [...new Set(places)].sort((a, b) => a - b);
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

/** With `continue_final_message` the last message is no message yet: it ends the prompt as it is. */
function splitUnfinished({ messages, continue_final_message }: ChatCompletionRequest): {
  messages: ChatCompletionRequest['messages'];
  unfinished?: UnfinishedAnswer;
} {
  const last = messages.at(-1);
  if (!continue_final_message || !last) return { messages };
  const content = typeof last.content === 'string' ? last.content : '';
  return { messages: messages.slice(0, -1), unfinished: { content, reasoning: last.reasoning_content ?? '' } };
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

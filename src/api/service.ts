/** The border between `Engine` and the thread that does the work: everything that crosses it can be cloned. */
import type { EngineStats, LoadOptions, LoadProgress, ModelInfo, Trace } from '../engine/types.ts';
import type { VideoSupply } from '../media/index.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  Completion,
  CompletionChunk,
  CompletionRequest,
  ImagePart,
  MediaProgress,
  MediaTokens,
  VideoPart,
} from './types.ts';

/** `LoadOptions` without what cannot be cloned. `gpu` only goes to a service in the same thread. */
export type ServiceLoadOptions = Omit<LoadOptions, 'onProgress' | 'signal'> & {
  /** Address of the grammar library, as it is known where the caller was bundled; default `grammarScript()`. */
  grammarScript?: string;
};

/** Figures travel with every answer, so that the page can read them without waiting. */
export interface Reply<T> {
  readonly result: T;
  readonly stats: EngineStats;
}

/** Across a worker the promise settles when the page has the chunk. */
export type OnChunk<Chunk> = (chunk: Chunk, stats: EngineStats) => void | Promise<void>;

export interface TokenizeOptions {
  /** Take control and user-defined tokens in the text as tokens. Default `false`: as plain text. */
  special?: boolean;
  /** Normalise to NFC first, as the model's own tokenizer does. Default `true`. */
  normalize?: boolean;
}

export interface DetokenizeOptions {
  /** Show control tokens such as `<|im_end|>`. Default `true`. */
  special?: boolean;
}

/** What a request with pictures or videos needs of the page that sent it. */
export interface PageSide extends VideoSupply {
  progress(progress: MediaProgress): void | Promise<void>;
}

/** Ids name running calls for `abort`; they are chosen by the caller and never used twice. */
export interface EngineService {
  load(
    id: number,
    options: ServiceLoadOptions,
    onProgress?: (progress: LoadProgress) => void,
  ): Promise<Reply<ModelInfo>>;
  /** With `onChunk` the answer is streamed and the result undefined. With `page`, bitmaps of the request are given away. */
  chat(
    id: number,
    request: ChatCompletionRequest,
    onChunk?: OnChunk<ChatCompletionChunk>,
    page?: PageSide,
  ): Promise<Reply<ChatCompletion | undefined>>;
  complete(
    id: number,
    request: CompletionRequest,
    onChunk?: OnChunk<CompletionChunk>,
  ): Promise<Reply<Completion | undefined>>;
  countMediaTokens(id: number, part: ImagePart | VideoPart, page: PageSide): Promise<Reply<MediaTokens>>;
  logits(id: number, ids: readonly number[], all: boolean): Promise<Reply<Float32Array>>;
  trace(id: number, ids: readonly number[], tokens: number): Promise<Reply<Trace>>;
  tokenize(text: string, options?: TokenizeOptions): Promise<number[]>;
  detokenize(ids: readonly number[], options?: DetokenizeOptions): Promise<string>;
  /** Figures as they are now, whether or not a request runs. */
  stats(): Promise<EngineStats>;
  /** Ends a running call with an `AbortError`; nothing happens if it has ended. */
  abort(id: number): Promise<void>;
  dispose(): Promise<void>;
}

/**
 * What the chat needs of an engine: the public surface and nothing more. `Engine` is one; so is anything that
 * answers like it, such as a scripted double in a test or a proxy to an engine elsewhere.
 */
import type { EngineStats, ModelInfo } from '../engine/types.ts';

export interface ChatToolCall {
  id: string;
  type: 'function';
  /** `arguments` is JSON text. */
  function: { name: string; arguments: string };
}

/** A picture or a video: a file, or its address. */
export type ChatMediaPart =
  | { type: 'image_url'; image_url: { url: string | Blob } }
  | { type: 'video_url'; video_url: { url: string | Blob } };

/** A piece of what the user says. */
export type ChatContentPart = { type: 'text'; text: string } | ChatMediaPart;

export interface ChatRequestMessage {
  role: 'system' | 'user' | 'assistant' | 'tool';
  content: string | ChatContentPart[];
  reasoning_content?: string;
  tool_calls?: ChatToolCall[];
  tool_call_id?: string;
}

/** How tokens are chosen, by OpenAI's and vLLM's names; what is left out is the engine's to choose. */
export interface ChatSampling {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  presence_penalty?: number;
  repetition_penalty?: number;
  /** Most tokens of an answer, thoughts included. */
  max_tokens?: number;
}

export interface ChatStreamRequest extends ChatSampling {
  messages: ChatRequestMessage[];
  stream: true;
  stream_options: { include_usage: boolean };
  chat_template_kwargs: { enable_thinking: boolean };
  /** vLLM's: the last message is an answer that the model goes on with. */
  continue_final_message?: boolean;
  add_generation_prompt?: boolean;
  tools?: {
    type: 'function';
    function: { name: string; description?: string; parameters?: Record<string, unknown> };
  }[];
}

export interface ChatStreamChunk {
  choices: ReadonlyArray<{
    delta: {
      content?: string | null;
      reasoning_content?: string | null;
      tool_calls?: ReadonlyArray<{
        index: number;
        id?: string;
        function?: { name?: string; arguments?: string };
      }> | null;
      tool_call_errors?: readonly string[] | null;
    };
    finish_reason?: string | null;
  }>;
  usage?: { prompt_tokens: number; completion_tokens: number } | null;
}

/** What a picture or a video takes, at the size at which the model sees it. */
export interface MediaCost {
  readonly tokens: number;
  readonly width: number;
  readonly height: number;
  /** Of a video: pictures that are taken from it, and its length. */
  readonly frames?: number;
  readonly seconds?: number;
}

/** What is done before the first token, and how far it is; `total` is 0 while it is not known. */
export interface MediaProgress {
  /** `tower`: bytes of the vision tower; `download`: bytes of a video; `vision`: pictures that have been looked at. */
  readonly phase: 'tower' | 'download' | 'vision';
  readonly loaded: number;
  readonly total: number;
}

/** What is known of a model; of one elsewhere little is. */
export type ChatModelInfo = Pick<ModelInfo, 'name' | 'contextLength' | 'vision' | 'experts' | 'adapter'> &
  Partial<ModelInfo>;

export interface ChatEngine {
  /** `contextLength` is 0 where it is not known. */
  readonly info: ChatModelInfo;
  /** The machine that what is written goes to, if the engine is not on this device; the chat says so. */
  readonly host?: string;
  /** Without it the cost of attachments is not shown. */
  countMediaTokens?(part: ChatMediaPart): Promise<MediaCost>;
  readonly chat: {
    readonly completions: {
      create(
        request: ChatStreamRequest,
        options?: { signal?: AbortSignal; onMediaProgress?: (progress: MediaProgress) => void },
      ): AsyncIterable<ChatStreamChunk> | Promise<AsyncIterable<ChatStreamChunk>>;
    };
  };
  stats(): EngineStats | Promise<EngineStats>;
  /** Figures as they are now, not as of the last answer. Without it the map of experts takes `stats`. */
  refreshStats?(): Promise<EngineStats>;
  dispose(): void | Promise<void>;
}

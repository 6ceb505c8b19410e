/**
 * What the chat needs of an engine: the public surface and nothing more. `Engine` is one; so is anything that
 * answers like it, such as a scripted double in a test or a proxy to an engine elsewhere.
 */
import type { EngineStats, ModelInfo } from '../engine/types.ts';

export interface ChatRequestMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface ChatStreamRequest {
  messages: ChatRequestMessage[];
  stream: true;
  stream_options: { include_usage: boolean };
  chat_template_kwargs: { enable_thinking: boolean };
}

export interface ChatStreamChunk {
  choices: ReadonlyArray<{
    delta: { content?: string | null; reasoning_content?: string | null };
    finish_reason?: string | null;
  }>;
  usage?: { prompt_tokens: number; completion_tokens: number } | null;
}

export interface ChatEngine {
  readonly info: ModelInfo;
  readonly chat: {
    readonly completions: {
      create(
        request: ChatStreamRequest,
        options?: { signal?: AbortSignal },
      ): AsyncIterable<ChatStreamChunk> | Promise<AsyncIterable<ChatStreamChunk>>;
    };
  };
  stats(): EngineStats | Promise<EngineStats>;
  dispose(): void | Promise<void>;
}

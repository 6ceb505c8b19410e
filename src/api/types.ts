/**
 * Requests and answers in OpenAI's shapes, as far as this package serves them. Fields beyond OpenAI's have vLLM's names
 * and meanings. `null` means the same as leaving a field out.
 */
import type { SamplingRequest } from '../text/index.ts';

export interface TextPart {
  type: 'text';
  text: string;
}

/** A file, or a picture that a page holds already. */
export type ImageSource = Blob | ImageBitmap | HTMLImageElement | HTMLCanvasElement | OffscreenCanvas;

/** A picture. Only in messages of the user, and for a model loaded with `mmproj`. */
export interface ImagePart {
  type: 'image_url';
  image_url: {
    /** `data:`, `blob:`, `https:` or `http:` address, or one relative to the page; or the picture itself. */
    url: string | ImageSource;
    /** Accepted; pictures are always read in full. */
    detail?: 'auto' | 'low' | 'high' | null;
  };
}

/** A file, or a video element, of which the file it shows is read: the element itself is left alone. */
export type VideoSource = Blob | HTMLVideoElement;

/** A video, without its sound. Only in messages of the user, for a model loaded with `mmproj`, and on pages. */
export interface VideoPart {
  type: 'video_url';
  video_url: {
    /** `data:`, `blob:`, `https:` or `http:` address, or one relative to the page; or the video itself. */
    url: string | VideoSource;
    /** Frames a second that the model sees. Default 2; at least 4 frames are taken from any video that has them. */
    fps?: number | null;
    /** Most frames that the model sees, at least 2. Default 768. */
    max_frames?: number | null;
  };
}

/** One part of a message. */
export type ContentPart = TextPart | ImagePart | VideoPart;

/** What `Engine.countMediaTokens` takes. A bare `Blob` is a video if its type begins with `video/`, else a picture. */
export type MediaSource = ImagePart | VideoPart | ImageSource | VideoSource;

/** What a picture or video costs, and what the model sees of it. */
export interface MediaTokens {
  /** That it adds to a prompt, with the marks around it and, of a video, the times of its frames. */
  tokens: number;
  /** In pixels, as the model sees it. */
  width: number;
  height: number;
  /** Of a video: those that the model sees. */
  frames?: number;
  /** Of a video: how long it is. */
  seconds?: number;
}

/**
 * How far a request has come with its pictures and videos. `tower`: bytes of the vision tower on the GPU, before the first
 * picture; `download`: bytes of a video; `vision`: pictures, and pairs of a video's frames, that the tower has read.
 */
export interface MediaProgress {
  phase: 'tower' | 'download' | 'vision';
  loaded: number;
  /** 0 while unknown. */
  total: number;
}

/** A function that the model may ask for. */
export interface Tool {
  type: 'function';
  function: {
    /** Letters, digits, `_`, `-` and `.`; at most 64. */
    name: string;
    description?: string | null;
    /** JSON schema of the arguments, an object. */
    parameters?: Record<string, unknown> | null;
    strict?: boolean | null;
  };
}

/**
 * `none`: tools are not shown to the model. `auto`: the model decides. `required`, or one by name: the answer begins
 * with the opening of a call, so the model does not think before it; with a name it is that one call and no more.
 */
export type ToolChoice = 'none' | 'auto' | 'required' | { type: 'function'; function: { name: string } };

export interface ToolCall {
  id: string;
  type: 'function';
  /** `arguments` is JSON text, as the model wrote it: check it before use. */
  function: { name: string; arguments: string };
}

export interface ChatMessage {
  /** `developer` is read as `system`; at most one of them, and first. `tool` is the result of a call. */
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  content: string | ContentPart[] | null;
  /** What the assistant thought in an earlier turn; the template decides whether the model sees it again. */
  reasoning_content?: string | null;
  /** What the assistant asked for. */
  tool_calls?: ToolCall[] | null;
  /** Of the call that this message (`tool`) answers. */
  tool_call_id?: string;
  name?: string;
}

/** Fields that chat and bare completions share. */
export interface GenerationRequest extends SamplingRequest {
  /** Accepted and echoed; an engine holds one model. */
  model?: string | null;
  /** Number of answers; only 1. */
  n?: number | null;
  /** Up to 16 strings that end the answer; they are not part of it. Looked for in the answer, not in the reasoning. */
  stop?: string | string[] | null;
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean | null } | null;
  /** Go on after the model ended its turn, until `max_tokens`. */
  ignore_eos?: boolean | null;
  /** Adds `token_ids` to choices and `prompt_token_ids` to the answer. */
  return_token_ids?: boolean | null;
}

export interface ChatCompletionRequest extends GenerationRequest {
  messages: ChatMessage[];
  /** Tokens of reasoning and answer together. Default: what the context leaves. */
  max_completion_tokens?: number | null;
  /** Older name of `max_completion_tokens`. */
  max_tokens?: number | null;
  logprobs?: boolean | null;
  /** 0 to 20 alternatives a token; needs `logprobs`. */
  top_logprobs?: number | null;
  /** Whether the model reasons before it answers. Default: the template's, which is `true`. */
  enable_thinking?: boolean | null;
  /** vLLM's: the last message is an answer of the assistant that the model goes on with; with `add_generation_prompt: false`. */
  continue_final_message?: boolean | null;
  /** Only `false` together with `continue_final_message`; `true` is what happens anyway. */
  add_generation_prompt?: boolean | null;
  /** Variables for the chat template, such as `enable_thinking`. */
  chat_template_kwargs?: Record<string, unknown> | null;
  tools?: Tool[] | null;
  /** Default `auto`. */
  tool_choice?: ToolChoice | null;
  /** With `false` the answer ends after its first call. Default `true`. */
  parallel_tool_calls?: boolean | null;
}

export interface CompletionRequest extends GenerationRequest {
  /** Text, in which markers such as `<|im_end|>` count as control tokens, or token ids. */
  prompt: string | number[];
  /** Default 16, as OpenAI's. */
  max_tokens?: number | null;
  /** Repeats the prompt before the answer. */
  echo?: boolean | null;
  /** 0 to 20 alternatives a token. */
  logprobs?: number | null;
}

/**
 * `stop`: the model ended its turn, or a stop string came. `tool_calls`: it did, and asks for tools. `length`:
 * `max_tokens` or the context ran out; the arguments of a call may then be unfinished JSON.
 */
export type FinishReason = 'stop' | 'length' | 'tool_calls';

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** Prompt tokens whose state was still there from an earlier request. */
  prompt_tokens_details: { cached_tokens: number };
  /** Tokens up to and with `</think>`. */
  completion_tokens_details: { reasoning_tokens: number };
}

export interface TopLogprob {
  /** The token as text; U+FFFD where its bytes are no whole character. */
  token: string;
  /** Natural logarithm of the probability under the model's own distribution: temperature 1, before penalties. */
  logprob: number;
  bytes: number[];
}

export interface TokenLogprobs extends TopLogprob {
  top_logprobs: TopLogprob[];
}

export interface ChatLogprobs {
  content: TokenLogprobs[];
}

/** Parallel arrays, one entry a token. */
export interface CompletionLogprobs {
  tokens: string[];
  token_logprobs: number[];
  /** Token text to log probability; `null` when no alternatives were asked for. */
  top_logprobs: Record<string, number>[] | null;
  /** Where the token begins in `text`, in UTF-16 code units. */
  text_offset: number[];
}

export interface ChatCompletion {
  id: string;
  object: 'chat.completion';
  /** Seconds since 1970. */
  created: number;
  model: string;
  choices: {
    index: number;
    message: {
      role: 'assistant';
      content: string | null;
      reasoning_content: string | null;
      refusal: null;
      /** Absent without calls. */
      tool_calls?: ToolCall[];
      /** What was wrong with calls that could not be read, and are in `content`, or whose values have another type. */
      tool_call_errors?: string[];
    };
    logprobs: ChatLogprobs | null;
    finish_reason: FinishReason;
    token_ids?: number[];
  }[];
  usage: Usage;
  prompt_token_ids?: number[];
}

/** `id`, `type` and the name come once, with the first piece of a call; the arguments' text in pieces to be joined. */
export interface ToolCallDelta {
  index: number;
  id?: string;
  type?: 'function';
  function: { name?: string; arguments: string };
}

export interface ChatCompletionChunk {
  id: string;
  object: 'chat.completion.chunk';
  created: number;
  model: string;
  /** Empty in the last chunk, which carries `usage`. */
  choices: {
    index: number;
    delta: {
      role?: 'assistant';
      content?: string;
      reasoning_content?: string;
      tool_calls?: ToolCallDelta[];
      tool_call_errors?: string[];
    };
    logprobs: ChatLogprobs | null;
    finish_reason: FinishReason | null;
    token_ids?: number[];
  }[];
  /** With `stream_options.include_usage`: `null` but for the last chunk. */
  usage?: Usage | null;
  prompt_token_ids?: number[];
}

/** Of a bare completion; its chunks have the same shape. */
export interface Completion {
  id: string;
  object: 'text_completion';
  created: number;
  model: string;
  choices: {
    index: number;
    text: string;
    logprobs: CompletionLogprobs | null;
    finish_reason: FinishReason;
    token_ids?: number[];
    prompt_token_ids?: number[];
  }[];
  usage: Usage;
}

export interface CompletionChunk {
  id: string;
  object: 'text_completion';
  created: number;
  model: string;
  choices: {
    index: number;
    text: string;
    logprobs: CompletionLogprobs | null;
    finish_reason: FinishReason | null;
    token_ids?: number[];
    prompt_token_ids?: number[];
  }[];
  usage?: Usage | null;
}

export interface RequestOptions {
  /** Ends the request with the signal's reason, an `AbortError` unless another was chosen. */
  signal?: AbortSignal;
  /** Called while pictures and videos of the request are read, at most some ten times a second. */
  onMediaProgress?: (progress: MediaProgress) => void;
}

/** Pieces of an answer in the shapes of OpenAI's two end points. */
import type { Job, Outcome, Piece } from './answer.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  Completion,
  CompletionChunk,
  CompletionLogprobs,
  TokenLogprobs,
  ToolCall,
  ToolCallDelta,
  Usage,
} from './types.ts';

/** Writes one answer, as a stream of chunks or as a whole. */
export interface AnswerFormat<Whole, Chunk> {
  /** Before the model has read the prompt. */
  opening(): Chunk | undefined;
  /** Undefined when the piece has nothing to tell. */
  chunk(piece: Piece): Chunk | undefined;
  closing(outcome: Outcome): Chunk;
  usage(usage: Usage): Chunk;
  whole(pieces: readonly Piece[], outcome: Outcome): Whole;
}

export function chatFormat(job: Job, model: string): AnswerFormat<ChatCompletion, ChatCompletionChunk> {
  const head = { id: `chatcmpl-${crypto.randomUUID()}`, created: now(), model };
  const withLogprobs = job.generate.topLogprobs !== undefined;
  const promptIds = job.returnTokenIds ? { prompt_token_ids: [...job.promptIds] } : undefined;
  const chunk = (
    choice: Partial<ChatCompletionChunk['choices'][number]> | undefined,
    usage: Usage | null = null,
  ): ChatCompletionChunk => ({
    ...head,
    object: 'chat.completion.chunk',
    choices: choice === undefined ? [] : [{ index: 0, delta: {}, logprobs: null, finish_reason: null, ...choice }],
    ...(job.includeUsage ? { usage } : undefined),
  });
  return {
    opening: () => ({ ...chunk({ delta: { role: 'assistant', content: '' } }), ...promptIds }),
    chunk(piece) {
      if (isEmpty(piece, job)) return undefined;
      return chunk({
        delta: {
          ...(piece.reasoning === '' ? undefined : { reasoning_content: piece.reasoning }),
          ...(piece.content === '' ? undefined : { content: piece.content }),
          ...(piece.calls.length === 0 ? undefined : { tool_calls: piece.calls.map(callDelta) }),
          ...(piece.callErrors.length === 0 ? undefined : { tool_call_errors: [...piece.callErrors] }),
        },
        logprobs: withLogprobs ? { content: [...piece.logprobs] } : null,
        ...(job.returnTokenIds ? { token_ids: [...piece.tokenIds] } : undefined),
      });
    },
    closing: (outcome) => chunk({ finish_reason: outcome.finishReason }),
    usage: (usage) => chunk(undefined, usage),
    whole(pieces, outcome) {
      const { reasoning, content, calls, callErrors, tokenIds, logprobs } = joined(pieces);
      return {
        ...head,
        object: 'chat.completion',
        choices: [
          {
            index: 0,
            message: {
              role: 'assistant',
              content: outcome.withinReasoning || (content === '' && calls.length > 0) ? null : content,
              reasoning_content: reasoning === '' ? null : reasoning,
              refusal: null,
              ...(calls.length === 0 ? undefined : { tool_calls: calls }),
              ...(callErrors.length === 0 ? undefined : { tool_call_errors: callErrors }),
            },
            logprobs: withLogprobs ? { content: logprobs } : null,
            finish_reason: outcome.finishReason,
            ...(job.returnTokenIds ? { token_ids: tokenIds } : undefined),
          },
        ],
        usage: outcome.usage,
        ...promptIds,
      };
    },
  };
}

export function completionFormat(job: Job, model: string): AnswerFormat<Completion, CompletionChunk> {
  const head = { id: `cmpl-${crypto.randomUUID()}`, object: 'text_completion' as const, created: now(), model };
  const promptIds = job.returnTokenIds ? { prompt_token_ids: [...job.promptIds] } : undefined;
  const topLogprobs = job.generate.topLogprobs;
  const listed = (logprobs: readonly TokenLogprobs[], offset: number): CompletionLogprobs | null =>
    topLogprobs === undefined ? null : completionLogprobs(logprobs, topLogprobs > 0, offset);
  let offset = job.echo.length; // of the next token's text
  const chunk = (
    choice: Partial<CompletionChunk['choices'][number]> | undefined,
    usage: Usage | null = null,
  ): CompletionChunk => ({
    ...head,
    choices: choice === undefined ? [] : [{ index: 0, text: '', logprobs: null, finish_reason: null, ...choice }],
    ...(job.includeUsage ? { usage } : undefined),
  });
  return {
    opening: () => chunk({ text: job.echo, ...promptIds }),
    chunk(piece) {
      if (isEmpty(piece, job)) return undefined;
      const logprobs = listed(piece.logprobs, offset);
      for (const { token } of piece.logprobs) offset += token.length;
      return chunk({
        text: piece.content,
        logprobs,
        ...(job.returnTokenIds ? { token_ids: [...piece.tokenIds] } : undefined),
      });
    },
    closing: (outcome) => chunk({ finish_reason: outcome.finishReason }),
    usage: (usage) => chunk(undefined, usage),
    whole(pieces, outcome) {
      const { content, tokenIds, logprobs } = joined(pieces);
      return {
        ...head,
        choices: [
          {
            index: 0,
            text: job.echo + content,
            logprobs: listed(logprobs, job.echo.length),
            finish_reason: outcome.finishReason,
            ...(job.returnTokenIds ? { token_ids: tokenIds } : undefined),
            ...promptIds,
          },
        ],
        usage: outcome.usage,
      };
    },
  };
}

function completionLogprobs(
  logprobs: readonly TokenLogprobs[],
  alternatives: boolean,
  offset: number,
): CompletionLogprobs {
  let next = offset;
  return {
    tokens: logprobs.map(({ token }) => token),
    token_logprobs: logprobs.map(({ logprob }) => logprob),
    top_logprobs: alternatives
      ? logprobs.map(({ top_logprobs }) => Object.fromEntries(top_logprobs.map((top) => [top.token, top.logprob])))
      : null,
    text_offset: logprobs.map(({ token }) => {
      const start = next;
      next += token.length;
      return start;
    }),
  };
}

function isEmpty(piece: Piece, job: Job): boolean {
  if (piece.reasoning !== '' || piece.content !== '' || piece.logprobs.length > 0) return false;
  if (piece.calls.length > 0 || piece.callErrors.length > 0) return false;
  return !(job.returnTokenIds && piece.tokenIds.length > 0);
}

function joined(pieces: readonly Piece[]) {
  return {
    reasoning: pieces.map((piece) => piece.reasoning).join(''),
    content: pieces.map((piece) => piece.content).join(''),
    calls: wholeCalls(pieces),
    callErrors: pieces.flatMap((piece) => piece.callErrors),
    tokenIds: pieces.flatMap((piece) => piece.tokenIds),
    logprobs: pieces.flatMap((piece) => piece.logprobs),
  };
}

function wholeCalls(pieces: readonly Piece[]): ToolCall[] {
  const calls: ToolCall[] = [];
  for (const { index, name, arguments: json } of pieces.flatMap((piece) => piece.calls)) {
    if (name !== undefined) calls.push({ id: newCallId(), type: 'function', function: { name, arguments: '' } });
    calls[index].function.arguments += json;
  }
  return calls;
}

function callDelta({ index, name, arguments: json }: Piece['calls'][number]): ToolCallDelta {
  if (name === undefined) return { index, function: { arguments: json } };
  return { index, id: newCallId(), type: 'function', function: { name, arguments: json } };
}

function newCallId(): string {
  return `call_${crypto.randomUUID().replaceAll('-', '').slice(0, 24)}`;
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}

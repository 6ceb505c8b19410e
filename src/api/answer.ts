/** From the model's tokens to an answer: its text in parts, with reasoning apart, and why it ended. */
import type { GeneratedToken, GenerateOptions, TokenModel } from '../engine/types.ts';
import {
  Detokenizer,
  decode,
  ReasoningSplitter,
  StopStrings,
  type Tokenizer,
  type ToolCallDelta,
  ToolCallParser,
  type ToolCallPart,
  type ToolSchema,
} from '../text/index.ts';
import type { FinishReason, TokenLogprobs, TopLogprob, Usage } from './types.ts';

/** A checked request, ready to run. */
export interface Job {
  readonly promptIds: readonly number[];
  readonly generate: GenerateOptions;
  /** The answer begins with reasoning. */
  readonly thinking: boolean;
  /** It goes on from reasoning that is in the prompt. */
  readonly resumed: boolean;
  readonly stops: readonly string[];
  /** Calls are looked for in the answer. */
  readonly tools?: ToolUse;
  /** Text before the answer's own (`echo`). */
  readonly echo: string;
  readonly returnTokenIds: boolean;
  readonly includeUsage: boolean;
}

export interface ToolUse {
  readonly schemas: readonly ToolSchema[];
  /** Of the answer, at the end of the prompt already: the opening of a call that has to come. */
  readonly opening: string;
  /** The answer ends after so many calls. */
  readonly mostCalls: number;
}

/** What one token adds; text may be held back and come with a later one. */
export interface Piece {
  readonly reasoning: string;
  readonly content: string;
  readonly calls: readonly ToolCallDelta[];
  /** What was wrong with calls. */
  readonly callErrors: readonly string[];
  readonly tokenIds: readonly number[];
  readonly logprobs: readonly TokenLogprobs[];
}

export interface Outcome {
  readonly finishReason: FinishReason;
  /** The answer ended before its reasoning did. */
  readonly withinReasoning: boolean;
  readonly usage: Usage;
}

export async function* answer(
  model: TokenModel,
  tokenizer: Tokenizer,
  job: Job,
  signal: AbortSignal,
): AsyncGenerator<Piece, Outcome, void> {
  const { promptIds, generate } = job;
  const reusedBefore = model.stats().reusedTokens;
  const detokenizer = new Detokenizer(tokenizer, { special: false });
  const splitter = new ReasoningSplitter(job.thinking, job.resumed);
  const reader = job.tools && new ToolCallParser(job.tools.schemas);
  const stops = new StopStrings(job.stops);
  let completionTokens = 0;
  let reasoningTokens = 0;
  let finishReason: FinishReason = 'length';

  reader?.push(job.tools?.opening ?? '');
  for await (const token of model.generate(promptIds, generate, signal)) {
    completionTokens++;
    if (splitter.thinking) reasoningTokens++;
    const ended = generate.stopIds.has(token.id);
    const part = splitter.push(ended ? '' : detokenizer.push(token.id));
    const { content, calls, errors } = reader?.push(part.content) ?? withoutCalls(part.content);
    yield {
      reasoning: part.reasoning,
      content: stops.push(content),
      calls,
      callErrors: errors,
      tokenIds: [token.id],
      logprobs: ended ? [] : logprobs(tokenizer, token),
    };
    if (ended || stops.stopped !== undefined || (reader && reader.closedCalls >= job.tools!.mostCalls)) {
      finishReason = 'stop';
      break;
    }
  }

  const last = splitter.push(detokenizer.flush());
  const rest = splitter.flush();
  const found = reader?.push(last.content + rest.content) ?? withoutCalls(last.content + rest.content);
  const held = reader?.flush({ cut: finishReason === 'length' }) ?? withoutCalls('');
  const content = stops.push(found.content + held.content) + stops.flush();
  if (stops.stopped !== undefined) finishReason = 'stop';
  if (finishReason === 'stop' && reader && reader.calls > 0) finishReason = 'tool_calls';
  yield {
    reasoning: last.reasoning + rest.reasoning,
    content,
    calls: [...found.calls, ...held.calls],
    callErrors: [...found.errors, ...held.errors],
    tokenIds: [],
    logprobs: [],
  };
  return {
    finishReason,
    withinReasoning: splitter.thinking,
    usage: {
      prompt_tokens: promptIds.length,
      completion_tokens: completionTokens,
      total_tokens: promptIds.length + completionTokens,
      prompt_tokens_details: { cached_tokens: model.stats().reusedTokens - reusedBefore },
      completion_tokens_details: { reasoning_tokens: reasoningTokens },
    },
  };
}

function withoutCalls(content: string): ToolCallPart {
  return { content, calls: [], errors: [] };
}

function logprobs(tokenizer: Tokenizer, { id, logprob, top }: GeneratedToken): TokenLogprobs[] {
  if (logprob === undefined) return [];
  const describe = (id: number, logprob: number): TopLogprob => ({
    token: decode(tokenizer, [id]),
    logprob,
    bytes: [...tokenizer.bytes(id)],
  });
  return [{ ...describe(id, logprob), top_logprobs: (top ?? []).map((other) => describe(other.id, other.logprob)) }];
}

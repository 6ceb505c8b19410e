/** From the model's tokens to an answer: its text in parts, with reasoning apart, and why it ended. */
import type { GeneratedToken, GenerateOptions, TokenModel } from '../engine/types.ts';
import { Detokenizer, decode, ReasoningSplitter, StopStrings, type Tokenizer } from '../text/index.ts';
import type { FinishReason, TokenLogprobs, TopLogprob, Usage } from './types.ts';

/** A checked request, ready to run. */
export interface Job {
  readonly promptIds: readonly number[];
  readonly generate: GenerateOptions;
  /** The answer begins with reasoning. */
  readonly thinking: boolean;
  readonly stops: readonly string[];
  /** Text before the answer's own (`echo`). */
  readonly echo: string;
  readonly returnTokenIds: boolean;
  readonly includeUsage: boolean;
}

/** What one token adds; text may be held back and come with a later one. */
export interface Piece {
  readonly reasoning: string;
  readonly content: string;
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
  const splitter = new ReasoningSplitter(job.thinking);
  const stops = new StopStrings(job.stops);
  let completionTokens = 0;
  let reasoningTokens = 0;
  let finishReason: FinishReason = 'length';

  for await (const token of model.generate(promptIds, generate, signal)) {
    completionTokens++;
    if (splitter.thinking) reasoningTokens++;
    const ended = generate.stopIds.has(token.id);
    const part = splitter.push(ended ? '' : detokenizer.push(token.id));
    yield {
      reasoning: part.reasoning,
      content: stops.push(part.content),
      tokenIds: [token.id],
      logprobs: ended ? [] : logprobs(tokenizer, token),
    };
    if (ended || stops.stopped !== undefined) {
      finishReason = 'stop';
      break;
    }
  }

  const last = splitter.push(detokenizer.flush());
  const rest = splitter.flush();
  const content = stops.push(last.content + rest.content) + stops.flush();
  if (stops.stopped !== undefined) finishReason = 'stop';
  yield { reasoning: last.reasoning + rest.reasoning, content, tokenIds: [], logprobs: [] };
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

function logprobs(tokenizer: Tokenizer, { id, logprob, top }: GeneratedToken): TokenLogprobs[] {
  if (logprob === undefined) return [];
  const describe = (id: number, logprob: number): TopLogprob => ({
    token: decode(tokenizer, [id]),
    logprob,
    bytes: [...tokenizer.bytes(id)],
  });
  return [{ ...describe(id, logprob), top_logprobs: (top ?? []).map((other) => describe(other.id, other.logprob)) }];
}

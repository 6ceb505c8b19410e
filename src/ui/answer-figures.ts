/** What an answer took: the engine's own figures where it has them, else what can be seen from here. */
import type { EngineStats } from '../engine/types.ts';
import { mediaPart } from './attachment.ts';
import type { ChatEngine } from './chat-engine.ts';
import { type AnswerFigures, seenAttachments, type Turn } from './turns.ts';

export interface MediaSum {
  /** Pictures, and pairs of a video's frames. */
  readonly pictures: number;
  readonly tokens: number;
}

/** What the attachments of a request take of its prompt. Of an engine that does not count nothing is known. */
export async function countMedia(engine: ChatEngine, turns: readonly Turn[]): Promise<MediaSum> {
  if (!engine.countMediaTokens) return { pictures: 0, tokens: 0 };
  const costs = await Promise.all(
    turns.flatMap(seenAttachments).map(async (attachment) => {
      if (attachment.tokens !== undefined) return attachment;
      // An engine that is gone counts no more; the answer stands all the same.
      return engine.countMediaTokens?.(mediaPart(attachment)).catch(() => undefined);
    }),
  );
  return costs.reduce<MediaSum>(
    (sum, cost) => ({
      pictures: sum.pictures + Math.ceil((cost?.frames ?? 1) / 2),
      tokens: sum.tokens + (cost?.tokens ?? 0),
    }),
    { pictures: 0, tokens: 0 },
  );
}

/** An engine that was unloaded meanwhile has no figures any more; an answer stands all the same. */
export function currentStats(engine: ChatEngine): Promise<EngineStats | undefined> {
  return new Promise<EngineStats>((resolve) => resolve(engine.stats())).catch(() => undefined);
}

/** Counts of the engine are totals, so what was there before the request is taken off. */
export function figuresOf(
  before: EngineStats | undefined,
  after: EngineStats | undefined,
  usage: { prompt_tokens: number; completion_tokens: number } | undefined,
  firstTokenMs: number,
  restMs: number,
  media: MediaSum,
): AnswerFigures {
  const mediaRead = Math.min(media.pictures, (after?.visionRuns ?? 0) - (before?.visionRuns ?? 0));
  const since = (count: 'reusedTokens' | 'draftedTokens' | 'acceptedTokens') =>
    (after?.[count] ?? 0) - (before?.[count] ?? 0);
  const completionTokens = usage?.completion_tokens ?? (after?.completionTokens ?? 0) - (before?.completionTokens ?? 0);
  return {
    decodeTokensPerSecond:
      after?.decodeTokensPerSecond ||
      (completionTokens > 1 && restMs > 0 ? ((completionTokens - 1) * 1000) / restMs : 0),
    prefillTokensPerSecond: after?.prefillTokensPerSecond ?? 0,
    timeToFirstTokenMs: after?.timeToFirstTokenMs || firstTokenMs,
    promptTokens: usage?.prompt_tokens ?? (after?.promptTokens ?? 0) - (before?.promptTokens ?? 0),
    reusedTokens: since('reusedTokens'),
    completionTokens,
    draftedTokens: since('draftedTokens'),
    acceptedTokens: since('acceptedTokens'),
    mediaTokens: media.tokens,
    mediaRead,
    mediaRemembered: media.pictures - mediaRead,
  };
}

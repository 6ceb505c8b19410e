/**
 * A conversation and the one answer that may be under way: what was said, asking, stopping, asking again. It knows
 * the engine's public surface and nothing of how it is drawn.
 */
import type { EngineStats } from '../engine/types.ts';
import type { ChatEngine, ChatRequestMessage } from './chat-engine.ts';

/** A message as OpenAI shapes it; what `<qwen-chat>.messages` gives and takes. */
export interface ChatMessage {
  role: 'user' | 'assistant';
  content: string;
  reasoning_content?: string;
}

export interface UserTurn {
  readonly role: 'user';
  readonly id: number;
  readonly content: string;
}

export interface AnswerTurn {
  readonly role: 'assistant';
  readonly id: number;
  readonly content: string;
  readonly reasoning: string;
  readonly phase: AnswerPhase;
  /** When the request was sent (`performance.now()`). */
  readonly askedAt: number;
  /** When the first thought came, and how long thinking took once it is over. */
  readonly thinkingSince?: number;
  readonly thinkingMs?: number;
  readonly error?: unknown;
  readonly figures?: AnswerFigures;
}

/** `reading`: no token yet. `cut`: the token limit or the context's end was reached. */
export type AnswerPhase = 'reading' | 'thinking' | 'answering' | 'done' | 'cut' | 'stopped' | 'failed';

export type Turn = UserTurn | AnswerTurn;

/** What one answer took. A figure the engine did not give is 0. */
export interface AnswerFigures {
  readonly decodeTokensPerSecond: number;
  readonly prefillTokensPerSecond: number;
  readonly timeToFirstTokenMs: number;
  readonly promptTokens: number;
  readonly reusedTokens: number;
  readonly completionTokens: number;
}

export interface AskOptions {
  thinking: boolean;
  system: string;
}

export function isRunning(turn: Turn | undefined): boolean {
  return turn?.role === 'assistant' && ['reading', 'thinking', 'answering'].includes(turn.phase);
}

let lastId = 0;

export class Conversation {
  turns: readonly Turn[] = [];
  private running?: AbortController;

  /** @param changed called when `turns` or `busy` changed, while an answer streams at most once a frame. */
  constructor(private readonly changed: () => void) {}

  get busy(): boolean {
    return this.running !== undefined;
  }

  get messages(): ChatMessage[] {
    return this.turns
      .filter((turn) => turn.content !== '' || (turn.role === 'assistant' && turn.reasoning !== ''))
      .map((turn) => {
        const { role, content } = turn;
        return turn.role === 'assistant' && turn.reasoning
          ? { role, content, reasoning_content: turn.reasoning }
          : { role, content };
      });
  }

  set messages(messages: readonly ChatMessage[]) {
    this.stop();
    this.turns = messages.map(
      ({ role, content, reasoning_content = '' }): Turn =>
        role === 'user'
          ? { role, id: ++lastId, content }
          : { role, id: ++lastId, content, reasoning: reasoning_content, phase: 'done', askedAt: 0 },
    );
    this.changed();
  }

  get lastUserTurn(): UserTurn | undefined {
    return this.turns.findLast((turn): turn is UserTurn => turn.role === 'user');
  }

  /** Says `text`, and resolves with the answer, however it ended. */
  ask(engine: ChatEngine, text: string, options: AskOptions): Promise<AnswerTurn> {
    this.turns = [...this.turns, { role: 'user', id: ++lastId, content: text }];
    return this.answer(engine, options);
  }

  /** Answers the last message of the user again, or one that replaces it. */
  askAgain(engine: ChatEngine, options: AskOptions, text?: string): Promise<AnswerTurn> {
    const last = this.lastUserTurn;
    if (!last) throw new Error('There is no message to answer.');
    const before = this.turns.slice(0, this.turns.indexOf(last));
    this.turns = [...before, text === undefined ? last : { ...last, id: ++lastId, content: text }];
    return this.answer(engine, options);
  }

  /** Ends the answer under way; what has come of it stays. */
  stop(): void {
    this.running?.abort();
  }

  clear(): void {
    this.stop();
    this.turns = [];
    this.changed();
  }

  private async answer(engine: ChatEngine, { thinking, system }: AskOptions): Promise<AnswerTurn> {
    this.stop();
    const running = new AbortController();
    this.running = running;
    const messages = requestMessages(this.turns, system);
    let turn: AnswerTurn = {
      role: 'assistant',
      id: ++lastId,
      content: '',
      reasoning: '',
      phase: 'reading',
      askedAt: performance.now(),
    };
    this.turns = [...this.turns, turn];
    const show = (next: AnswerTurn) => {
      this.turns = this.turns.map((each) => (each.id === next.id ? next : each));
      this.changed();
    };
    const showSoon = oncePerFrame(() => isRunning(turn) && show(turn));
    this.changed();

    const before = await currentStats(engine);
    let firstTokenAt = 0;
    let usage: { prompt_tokens: number; completion_tokens: number } | undefined;
    let phase: AnswerPhase = 'done';
    let error: unknown;
    try {
      const stream = await engine.chat.completions.create(
        {
          messages,
          stream: true,
          stream_options: { include_usage: true },
          chat_template_kwargs: { enable_thinking: thinking },
        },
        { signal: running.signal },
      );
      for await (const chunk of stream) {
        usage = chunk.usage ?? usage;
        const choice = chunk.choices[0];
        if (!choice) continue;
        const thought = choice.delta.reasoning_content ?? '';
        const said = choice.delta.content ?? '';
        if (choice.finish_reason === 'length') phase = 'cut';
        if (!thought && !said) continue;
        firstTokenAt ||= performance.now();
        turn = advance(turn, thought, said);
        showSoon();
        if (running.signal.aborted) break;
      }
      if (running.signal.aborted) phase = 'stopped';
    } catch (caught) {
      phase = running.signal.aborted ? 'stopped' : 'failed';
      if (phase === 'failed') error = caught;
    }
    const endedAt = performance.now();
    turn = { ...turn, phase, error, thinkingMs: turn.thinkingMs ?? thinkingTime(turn, endedAt) };
    if (firstTokenAt > 0 && phase !== 'failed') {
      turn = {
        ...turn,
        figures: figures(
          before,
          await currentStats(engine),
          usage,
          firstTokenAt - turn.askedAt,
          endedAt - firstTokenAt,
        ),
      };
    }
    if (this.running === running) this.running = undefined;
    show(turn);
    return turn;
  }
}

function advance(turn: AnswerTurn, thought: string, said: string): AnswerTurn {
  const now = performance.now();
  const next = { ...turn, reasoning: turn.reasoning + thought, content: turn.content + said };
  // Models open an answer with blank lines after thinking; the answer begins with its first letter.
  if (next.content.trim() === '')
    return thought ? { ...next, phase: 'thinking', thinkingSince: turn.thinkingSince ?? now } : next;
  return { ...next, phase: 'answering', thinkingMs: turn.thinkingMs ?? thinkingTime(turn, now) };
}

function thinkingTime(turn: AnswerTurn, now: number): number | undefined {
  return turn.thinkingSince === undefined ? undefined : now - turn.thinkingSince;
}

/** The template refuses empty messages, and an answer that failed before its first word is none. */
function requestMessages(turns: readonly Turn[], system: string): ChatRequestMessage[] {
  const said = turns.filter(({ content }) => content.trim() !== '').map(({ role, content }) => ({ role, content }));
  return system.trim() === '' ? said : [{ role: 'system', content: system }, ...said];
}

/** An engine that was unloaded meanwhile has no figures any more; an answer stands all the same. */
function currentStats(engine: ChatEngine): Promise<EngineStats | undefined> {
  return new Promise<EngineStats>((resolve) => resolve(engine.stats())).catch(() => undefined);
}

/** The engine's own figures where it has them (counts are totals, so what was there before is taken off); else what could be seen from here. */
function figures(
  before: EngineStats | undefined,
  after: EngineStats | undefined,
  usage: { prompt_tokens: number; completion_tokens: number } | undefined,
  firstTokenMs: number,
  restMs: number,
): AnswerFigures {
  const completionTokens = usage?.completion_tokens ?? (after?.completionTokens ?? 0) - (before?.completionTokens ?? 0);
  return {
    decodeTokensPerSecond:
      after?.decodeTokensPerSecond ||
      (completionTokens > 1 && restMs > 0 ? ((completionTokens - 1) * 1000) / restMs : 0),
    prefillTokensPerSecond: after?.prefillTokensPerSecond ?? 0,
    timeToFirstTokenMs: after?.timeToFirstTokenMs || firstTokenMs,
    promptTokens: usage?.prompt_tokens ?? (after?.promptTokens ?? 0) - (before?.promptTokens ?? 0),
    reusedTokens: (after?.reusedTokens ?? 0) - (before?.reusedTokens ?? 0),
    completionTokens,
  };
}

/** Runs `action` in the next animation frame, once, however often it is asked to. */
function oncePerFrame(action: () => void): () => void {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      action();
    });
  };
}

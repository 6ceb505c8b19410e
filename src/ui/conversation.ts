/**
 * A conversation and the one answer that may be under way: what was said, asking, stopping, asking again. It knows
 * the engine's public surface and nothing of how it is drawn.
 */
import type { EngineStats } from '../engine/types.ts';
import { type Attachment, mediaPart, messageContent, readContent } from './attachment.ts';
import type {
  ChatContentPart,
  ChatEngine,
  ChatRequestMessage,
  ChatStreamChunk,
  ChatToolCall,
  MediaProgress,
} from './chat-engine.ts';
import { errorCode } from './error-text.ts';
import { asToolCall, type ChatTool, NOT_RUN, runTool, type ToolRun } from './tools.ts';

/** A message as OpenAI shapes it; what `<qwen-chat>.messages` gives and takes. */
export interface ChatMessage {
  role: 'user' | 'assistant' | 'tool';
  /** Parts where pictures or videos go with the text; their `url` is a `File` or `Blob`, or an address. */
  content: string | ChatContentPart[];
  reasoning_content?: string;
  tool_calls?: ChatToolCall[];
  /** Of the call whose result a `tool` message is. */
  tool_call_id?: string;
}

export interface UserTurn {
  readonly role: 'user';
  readonly id: number;
  readonly content: string;
  readonly attachments: readonly Attachment[];
  /** The model could not read the attachments: later requests leave them out, or they would fail too. */
  readonly unseen?: boolean;
}

export interface AnswerTurn {
  readonly role: 'assistant';
  readonly id: number;
  readonly content: string;
  readonly reasoning: string;
  /** Tools the model asked for; the next turn goes on from their results. */
  readonly calls: readonly ToolRun[];
  /** The model wrote a call that could not be read; its text is in `content`. */
  readonly misreadCall?: boolean;
  readonly phase: AnswerPhase;
  /** When the request was sent (`performance.now()`). */
  readonly askedAt: number;
  /** What is done before the model can read: its vision tower loads, pictures are looked at. */
  readonly preparing?: MediaProgress;
  /** When the first thought came, and how long thinking took once it is over. */
  readonly thinkingSince?: number;
  readonly thinkingMs?: number;
  readonly error?: unknown;
  readonly figures?: AnswerFigures;
}

/**
 * `reading`: no token yet. `calling`: tools are being called. `cut`: the token limit or the context's end was reached.
 * `limit`: the model would have gone on calling tools.
 */
export type AnswerPhase =
  | 'reading'
  | 'thinking'
  | 'answering'
  | 'calling'
  | 'done'
  | 'cut'
  | 'limit'
  | 'stopped'
  | 'failed';

export type Turn = UserTurn | AnswerTurn;

/** What one answer took. A figure the engine did not give is 0. */
export interface AnswerFigures {
  readonly decodeTokensPerSecond: number;
  readonly prefillTokensPerSecond: number;
  readonly timeToFirstTokenMs: number;
  readonly promptTokens: number;
  readonly reusedTokens: number;
  readonly completionTokens: number;
  /**
   * Pictures and videos of the prompt: what they take of it, how many the model looked at, and how many it remembered. Of
   * a video two frames at a time are one picture.
   */
  readonly mediaTokens: number;
  readonly mediaRead: number;
  readonly mediaRemembered: number;
}

export interface AskOptions {
  thinking: boolean;
  system: string;
  tools?: readonly ChatTool[];
  /** Most times in a row that the model gets results of tools and goes on. Default 8. */
  maxToolSteps?: number;
}

const MAX_TOOL_STEPS = 8;

export function isRunning(turn: Turn | undefined): boolean {
  return turn?.role === 'assistant' && ['reading', 'thinking', 'answering', 'calling'].includes(turn.phase);
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
    return this.turns.flatMap((turn): ChatMessage[] => {
      const { role, content } = turn;
      if (role === 'user') {
        const said = messageContent(content, turn.attachments);
        return said === '' ? [] : [{ role, content: said }];
      }
      if (content === '' && turn.reasoning === '' && turn.calls.length === 0) return [];
      const message: ChatMessage = { role, content };
      if (turn.reasoning) message.reasoning_content = turn.reasoning;
      return withCalls(message, turn.calls);
    });
  }

  set messages(messages: readonly ChatMessage[]) {
    this.stop();
    const results = new Map(messages.map((message) => [message.tool_call_id, readContent(message.content ?? '').text]));
    this.turns = messages
      .filter(({ role }) => role !== 'tool')
      .map(({ role, content, reasoning_content = '', tool_calls = [] }): Turn => {
        const { text, attachments } = readContent(content ?? '');
        if (role === 'user') return { role, id: ++lastId, content: text, attachments };
        const calls = tool_calls.map(({ id, function: { name, arguments: json } }): ToolRun => {
          const result = results.get(id);
          return { id, name, arguments: json, state: result === undefined ? 'not-run' : 'done', result };
        });
        return {
          role: 'assistant',
          id: ++lastId,
          content: text,
          reasoning: reasoning_content,
          calls,
          phase: 'done',
          askedAt: 0,
        };
      });
    this.changed();
  }

  get lastUserTurn(): UserTurn | undefined {
    return this.turns.findLast((turn): turn is UserTurn => turn.role === 'user');
  }

  /** Says `text`, and resolves with the answer, however it ended. */
  ask(
    engine: ChatEngine,
    text: string,
    options: AskOptions,
    attachments: readonly Attachment[] = [],
  ): Promise<AnswerTurn> {
    this.turns = [...this.turns, { role: 'user', id: ++lastId, content: text, attachments }];
    return this.answer(engine, options);
  }

  /** Answers the last message of the user again, or one that replaces it. */
  askAgain(
    engine: ChatEngine,
    options: AskOptions,
    text?: string,
    attachments: readonly Attachment[] = this.lastUserTurn?.attachments ?? [],
  ): Promise<AnswerTurn> {
    const last = this.lastUserTurn;
    if (!last) throw new Error('There is no message to answer.');
    const before = this.turns.slice(0, this.turns.indexOf(last));
    const again: UserTurn = { ...last, attachments, unseen: undefined };
    this.turns = [...before, text === undefined ? again : { ...again, id: ++lastId, content: text }];
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

  /** Answers, with as many rounds of tools as it takes. */
  private async answer(engine: ChatEngine, options: AskOptions): Promise<AnswerTurn> {
    this.stop();
    const running = new AbortController();
    this.running = running;
    const { tools = [], maxToolSteps = MAX_TOOL_STEPS } = options;
    let turn = await this.step(engine, options, running.signal);
    for (let step = 0; turn.phase === 'calling'; step++) {
      if (step >= maxToolSteps) {
        turn = { ...turn, phase: 'limit', calls: turn.calls.map((call) => ({ ...call, state: 'not-run' })) };
        this.show(turn);
        break;
      }
      turn = await this.runTools(turn, tools, running.signal);
      if (turn.phase === 'done') turn = await this.step(engine, options, running.signal);
    }
    if (this.running === running) this.running = undefined;
    this.changed();
    return turn;
  }

  /** All the calls of a turn, side by side. */
  private async runTools(turn: AnswerTurn, tools: readonly ChatTool[], signal: AbortSignal): Promise<AnswerTurn> {
    let current: AnswerTurn = { ...turn, calls: turn.calls.map((call) => ({ ...call, state: 'running' })) };
    this.show(current);
    await Promise.all(
      current.calls.map(async (call) => {
        const ended = await runTool(call, tools, signal);
        current = { ...current, calls: current.calls.map((each) => (each.id === ended.id ? ended : each)) };
        this.show(current);
      }),
    );
    current = { ...current, phase: signal.aborted ? 'stopped' : 'done' };
    this.show(current);
    return current;
  }

  private show(next: AnswerTurn): void {
    this.turns = this.turns.map((each) => (each.id === next.id ? next : each));
    this.changed();
  }

  /** One request. Ends `calling` when tools are to be run. */
  private async step(
    engine: ChatEngine,
    { thinking, system, tools = [] }: AskOptions,
    signal: AbortSignal,
  ): Promise<AnswerTurn> {
    const shownTurns = this.turns;
    const messages = requestMessages(shownTurns, system);
    let turn: AnswerTurn = {
      role: 'assistant',
      id: ++lastId,
      content: '',
      reasoning: '',
      calls: [],
      phase: 'reading',
      askedAt: performance.now(),
    };
    this.turns = [...this.turns, turn];
    let streaming = true; // a frame that comes later must not undo what follows
    const showSoon = oncePerFrame(() => streaming && this.show(turn));
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
          ...(tools.length === 0
            ? undefined
            : {
                tools: tools.map(({ name, description, parameters }) => ({
                  type: 'function' as const,
                  function: { name, description, parameters },
                })),
              }),
        },
        {
          signal,
          onMediaProgress: (preparing) => {
            turn = { ...turn, preparing };
            showSoon();
          },
        },
      );
      for await (const chunk of stream) {
        usage = chunk.usage ?? usage;
        const choice = chunk.choices[0];
        if (!choice) continue;
        const thought = choice.delta.reasoning_content ?? '';
        const said = choice.delta.content ?? '';
        if (choice.finish_reason === 'length') phase = 'cut';
        const calls = choice.delta.tool_calls ?? [];
        if (choice.delta.tool_call_errors?.length) turn = { ...turn, misreadCall: true };
        if (!thought && !said && calls.length === 0) continue;
        firstTokenAt ||= performance.now();
        turn = advance(turn, thought, said);
        if (calls.length > 0) turn = { ...turn, phase: 'calling', calls: joinCalls(turn.calls, calls) };
        showSoon();
        if (signal.aborted) break;
      }
      if (signal.aborted) phase = 'stopped';
      else if (phase === 'done' && turn.calls.length > 0) phase = 'calling';
    } catch (caught) {
      phase = signal.aborted ? 'stopped' : 'failed';
      if (phase === 'failed') error = caught;
    }
    streaming = false;
    const unseen = unseenTurns(error, shownTurns, messages);
    if (unseen.size > 0) {
      this.turns = this.turns.map((each) =>
        each.role === 'user' && unseen.has(each.id) ? { ...each, unseen: true } : each,
      );
    }
    const endedAt = performance.now();
    turn = { ...turn, phase, error, thinkingMs: turn.thinkingMs ?? thinkingTime(turn, endedAt) };
    if (phase !== 'calling') turn = { ...turn, calls: turn.calls.map((call) => ({ ...call, state: 'not-run' })) };
    if (firstTokenAt > 0 && phase !== 'failed') {
      turn = {
        ...turn,
        figures: figures(
          before,
          await currentStats(engine),
          usage,
          firstTokenAt - turn.askedAt,
          endedAt - firstTokenAt,
          await countMedia(engine, shownTurns),
        ),
      };
    }
    this.show(turn);
    return turn;
  }
}

/** What the model has written of its calls, with the next pieces. */
function joinCalls(
  calls: readonly ToolRun[],
  deltas: NonNullable<ChatStreamChunk['choices'][number]['delta']['tool_calls']>,
): ToolRun[] {
  const joined = [...calls];
  for (const { index, id, function: { name = '', arguments: json = '' } = {} } of deltas) {
    const call = joined[index] ?? { id: id ?? `call-${index}`, name: '', arguments: '', state: 'written' };
    joined[index] = { ...call, name: call.name + name, arguments: call.arguments + json };
  }
  return joined;
}

/** The message of a turn and those of its results: each call has one, as the template wants it. */
function withCalls<Message extends ChatMessage | ChatRequestMessage>(
  message: Message,
  runs: readonly ToolRun[],
): Message[] {
  if (runs.length === 0) return [message];
  const results = runs.map(
    ({ id, result = NOT_RUN }) => ({ role: 'tool', tool_call_id: id, content: result }) as Message,
  );
  return [{ ...message, tool_calls: runs.map(asToolCall) }, ...results];
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
  const said = turns.flatMap((turn): ChatRequestMessage[] => {
    const { role, content } = turn;
    if (role === 'assistant' && turn.calls.length > 0) {
      // Thoughts between calls belong to the answer under way; those of earlier answers the template leaves out.
      const message: ChatRequestMessage = { role, content };
      if (turn.reasoning) message.reasoning_content = turn.reasoning;
      return withCalls(message, turn.calls);
    }
    const said = role === 'user' ? messageContent(content, seenAttachments(turn)) : content;
    return typeof said === 'string' && said.trim() === '' ? [] : [{ role, content: said }];
  });
  return system.trim() === '' ? said : [{ role: 'system', content: system }, ...said];
}

/** Ids of the messages whose attachments an error is about: sent again they would make every further request fail. */
function unseenTurns(error: unknown, turns: readonly Turn[], messages: readonly ChatRequestMessage[]): Set<number> {
  const code = errorCode(error);
  const withMedia = turns.filter((turn) => seenAttachments(turn).length > 0);
  if (code === 'no-vision') return new Set(withMedia.map(({ id }) => id));
  if (code !== 'bad-image' && code !== 'bad-video') return new Set();
  const [, index] = /^messages\[(\d+)\]/.exec(String((error as { param?: unknown }).param)) ?? [];
  const place = messages
    .slice(0, index === undefined ? messages.length : Number(index) + 1)
    .filter(({ content }) => typeof content !== 'string').length;
  const turn = withMedia[place - 1];
  return new Set(turn ? [turn.id] : []);
}

function seenAttachments(turn: Turn): readonly Attachment[] {
  return turn.role === 'user' && !turn.unseen ? turn.attachments : [];
}

interface MediaSum {
  /** Pictures, and pairs of a video's frames. */
  readonly pictures: number;
  readonly tokens: number;
}

/** What the attachments of a request take of its prompt. An engine that does not count leaves the tokens at 0. */
async function countMedia(engine: ChatEngine, turns: readonly Turn[]): Promise<MediaSum> {
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
  media: MediaSum,
): AnswerFigures {
  const mediaRead = Math.min(media.pictures, (after?.visionRuns ?? 0) - (before?.visionRuns ?? 0));
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
    mediaTokens: media.tokens,
    mediaRead,
    mediaRemembered: media.pictures - mediaRead,
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

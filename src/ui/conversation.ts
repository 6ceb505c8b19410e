/**
 * A conversation and the one answer that may be under way: asking, stopping, asking again, branching. It knows the
 * engine's public surface and nothing of how it is drawn.
 */
import { countMedia, currentStats, figuresOf } from './answer-figures.ts';
import type { Attachment } from './attachment.ts';
import type { ChatEngine, ChatRequestMessage, ChatSampling, ChatStreamChunk } from './chat-engine.ts';
import { errorCode } from './error-text.ts';
import { readStored, type StoredConversation, storeTree } from './stored-conversation.ts';
import { type ChatTool, runTool, type ToolRun } from './tools.ts';
import { type Siblings, TurnTree } from './turn-tree.ts';
import {
  type AnswerPhase,
  type AnswerTurn,
  type ChatMessage,
  isEmpty,
  messagesOf,
  nextTurnId,
  requestMessages,
  seenAttachments,
  type Turn,
  turnsOf,
  type UserTurn,
  userTurn,
} from './turns.ts';

/**
 * What became of a conversation. `message`: the reader said something. `answer`: an answer ended, or a step of it.
 * `growing`: one is still coming. `branch`: another branch is shown. `remove`: a message and what followed it went, or came
 * back. `forget`: what the model is told changed. `clear`: a new conversation begins.
 */
export type ConversationChange = 'message' | 'answer' | 'growing' | 'branch' | 'remove' | 'forget' | 'clear';

export interface AskOptions {
  thinking: boolean;
  system: string;
  tools?: readonly ChatTool[];
  /** Most times in a row that the model gets results of tools and goes on. Default 8. */
  maxToolSteps?: number;
  sampling?: ChatSampling;
}

const MAX_TOOL_STEPS = 8;
/** How often a growing answer is told as `growing`. */
const GROWING_MS = 2000;
/** What is kept of a conversation that is too long: less than all that fits, or the next question would be too long again. */
const KEPT_SHARE = 0.75;
/** Characters of text that weigh as much as a token of a picture. */
const CHARACTERS_PER_TOKEN = 4;

export class Conversation {
  private tree = new TurnTree();
  private running?: AbortController;
  private toldAt = 0;
  private putBack?: () => void;

  /**
   * @param changed called when `turns` or `busy` changed, while an answer streams at most once a frame
   * @param told called when there is something new to keep
   */
  constructor(
    private readonly changed: () => void,
    private readonly told: (change: ConversationChange) => void = () => {},
  ) {}

  /** What is shown: one path through the tree. */
  get turns(): readonly Turn[] {
    return this.tree.path;
  }

  get busy(): boolean {
    return this.running !== undefined;
  }

  get messages(): ChatMessage[] {
    return messagesOf(this.turns);
  }

  set messages(messages: readonly ChatMessage[]) {
    this.become(TurnTree.of(turnsOf(messages)));
  }

  /** All of it, with every branch. */
  get stored(): StoredConversation {
    return storeTree(this.tree);
  }

  /** @throws QwenError `invalid-request`; what was here stays then */
  set stored(stored: StoredConversation) {
    this.become(readStored(stored));
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
    this.add(userTurn(text, attachments), this.turns.at(-1)?.id);
    this.told('message');
    return this.answer(engine, options);
  }

  /** Says `text` in place of a message of the user, which stays as another branch, with all that followed it. */
  edit(
    engine: ChatEngine,
    id: number,
    text: string,
    options: AskOptions,
    attachments: readonly Attachment[],
  ): Promise<AnswerTurn> {
    this.add(userTurn(text, attachments), this.tree.before(id)?.id);
    this.told('message');
    return this.answer(engine, options);
  }

  /**
   * Answers a message of the user again, the last one by default; the id may be that of its answer. The answer so far stays
   * as another branch, unless it is empty.
   */
  answerAgain(engine: ChatEngine, options: AskOptions, id = this.lastUserTurn?.id): Promise<AnswerTurn> {
    const asked = this.turns
      .slice(0, this.turns.findIndex((turn) => turn.id === id) + 1)
      .findLast((turn): turn is UserTurn => turn.role === 'user');
    if (!asked) throw new Error('There is no message to answer.');
    const answer = this.turns[this.turns.indexOf(asked) + 1];
    if (asked.unseen) this.tree.replace({ ...asked, unseen: undefined });
    if (answer?.role === 'assistant' && isEmpty(answer)) this.tree.remove(answer.id);
    return this.answer(engine, options, asked.id);
  }

  /** Goes on with the last answer, where it was cut or stopped. */
  goOn(engine: ChatEngine, options: AskOptions): Promise<AnswerTurn> {
    const last = this.turns.at(-1);
    if (last?.role !== 'assistant') throw new Error('There is no answer to go on with.');
    return this.answer(engine, options, last.id, last);
  }

  /** Tries again what failed, now that there is more room: an answer that had begun goes on. */
  retry(engine: ChatEngine, options: AskOptions): Promise<AnswerTurn> {
    const last = this.turns.at(-1);
    const begun = last?.role === 'assistant' && !isEmpty(last) && last.calls.length === 0;
    return begun ? this.goOn(engine, options) : this.answerAgain(engine, options);
  }

  /** Leaves the earliest messages out of requests, and tries again; more of them while it is still too long. */
  async forgetEarliest(engine: ChatEngine, options: AskOptions): Promise<AnswerTurn> {
    let turn: AnswerTurn;
    do {
      this.forget(forgettable(this.turns));
      turn = await this.retry(engine, options);
    } while (errorCode(turn.error) === 'context-overflow' && forgettable(this.turns).length > 0);
    return turn;
  }

  /** Something can be left out to make room for an answer to the last message. */
  get canForget(): boolean {
    return forgettable(this.turns).length > 0;
  }

  /** Tells the model everything again. */
  remember(): void {
    for (const turn of this.turns) if (turn.forgotten) this.tree.replace({ ...turn, forgotten: undefined });
    this.changed();
    this.told('forget');
  }

  /** The branches at a turn: messages that stand for each other, or answers. Of an answer in several steps, those of its first. */
  siblings(id: number): Siblings {
    return this.tree.siblings(this.firstStep(id));
  }

  /** Shows another branch. */
  show(id: number): void {
    this.tree.show(id);
    this.putBack = undefined;
    this.changed();
    this.told('branch');
  }

  /** Takes a message away, an answer with all its steps, and all that follows in its branch. */
  remove(id: number): void {
    this.stop();
    this.putBack = this.tree.remove(this.firstStep(id));
    this.changed();
    this.told('remove');
  }

  /** What was removed last can come back: nothing else has happened since. */
  get canPutBack(): boolean {
    return this.putBack !== undefined;
  }

  /** Undoes the last `remove`. */
  undoRemove(): void {
    this.putBack?.();
    this.putBack = undefined;
    this.changed();
    this.told('remove');
  }

  /** Ends the answer under way; what has come of it stays. */
  stop(): void {
    this.running?.abort();
  }

  clear(): void {
    this.become(new TurnTree());
    this.told('clear');
  }

  private become(tree: TurnTree): void {
    this.stop();
    this.tree = tree;
    this.putBack = undefined;
    this.changed();
  }

  private add(turn: Turn, after: number | undefined): void {
    this.tree.add(turn, after);
    this.putBack = undefined;
  }

  private forget(ids: readonly number[]): void {
    for (const turn of this.turns) if (ids.includes(turn.id)) this.tree.replace({ ...turn, forgotten: true });
    this.told('forget');
  }

  private firstStep(id: number): number {
    const before = this.tree.before(id);
    return this.tree.turn(id).role === 'assistant' && before?.role === 'assistant' ? this.firstStep(before.id) : id;
  }

  /** Answers, with as many rounds of tools as it takes. @param resumed an answer to go on with */
  private async answer(
    engine: ChatEngine,
    options: AskOptions,
    after = this.turns.at(-1)?.id,
    resumed?: AnswerTurn,
  ): Promise<AnswerTurn> {
    this.stop();
    const running = new AbortController();
    this.running = running;
    const { tools = [], maxToolSteps = MAX_TOOL_STEPS } = options;
    const { tree } = this;
    let turn = await this.step(engine, options, running.signal, after, resumed);
    for (let step = 0; turn.phase === 'calling'; step++) {
      if (step >= maxToolSteps) {
        turn = { ...turn, phase: 'limit', calls: turn.calls.map((call) => ({ ...call, state: 'not-run' })) };
        this.showTurn(turn);
        break;
      }
      turn = await this.runTools(turn, tools, running.signal);
      if (turn.phase === 'done') turn = await this.step(engine, options, running.signal, turn.id);
    }
    if (this.running === running) this.running = undefined;
    this.changed();
    if (this.tree === tree) this.told('answer');
    return turn;
  }

  /** All the calls of a turn, side by side. */
  private async runTools(turn: AnswerTurn, tools: readonly ChatTool[], signal: AbortSignal): Promise<AnswerTurn> {
    let current: AnswerTurn = { ...turn, calls: turn.calls.map((call) => ({ ...call, state: 'running' })) };
    this.showTurn(current);
    await Promise.all(
      current.calls.map(async (call) => {
        const ended = await runTool(call, tools, signal);
        current = { ...current, calls: current.calls.map((each) => (each.id === ended.id ? ended : each)) };
        this.showTurn(current);
      }),
    );
    current = { ...current, phase: signal.aborted ? 'stopped' : 'done' };
    this.showTurn(current);
    return current;
  }

  private showTurn(next: AnswerTurn): void {
    if (!this.tree.has(next.id)) return; // it was removed, or belongs to a conversation that is not here any more
    this.tree.replace(next);
    this.changed();
    if (performance.now() - this.toldAt < GROWING_MS) return;
    this.toldAt = performance.now();
    this.told('growing');
  }

  /** One request. Ends `calling` when tools are to be run. */
  private async step(
    engine: ChatEngine,
    { thinking, system, tools = [], sampling }: AskOptions,
    signal: AbortSignal,
    after: number | undefined,
    resumed?: AnswerTurn,
  ): Promise<AnswerTurn> {
    const { tree } = this;
    let turn: AnswerTurn = resumed ?? {
      role: 'assistant',
      id: nextTurnId(),
      at: Date.now(),
      content: '',
      reasoning: '',
      calls: [],
      phase: 'reading',
      askedAt: 0,
    };
    if (!tree.has(turn.id)) {
      // The message it answers was removed meanwhile, or another conversation is here.
      if (after !== undefined && !tree.has(after)) return { ...turn, phase: 'stopped' };
      this.add(turn, after);
    }
    const shownTurns = this.turns.slice(0, -1);
    const messages = requestMessages(shownTurns, system);
    if (resumed) messages.push(unfinished(resumed));
    const askedAt = performance.now();
    turn = { ...turn, phase: 'reading', askedAt, error: undefined, model: engine.info?.name };
    // Thinking that was interrupted goes on, and so does its clock.
    if (turn.reasoning && turn.content.trim() === '') {
      turn = { ...turn, thinkingSince: askedAt - (turn.thinkingMs ?? 0), thinkingMs: undefined };
    }
    tree.replace(turn);
    let streaming = true; // a frame that comes later must not undo what follows
    const showSoon = oncePerFrame(() => streaming && this.showTurn(turn));
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
          ...sampling,
          chat_template_kwargs: { enable_thinking: thinking },
          ...(resumed && { continue_final_message: true, add_generation_prompt: false }),
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
      for (const each of shownTurns) {
        if (each.role === 'user' && unseen.has(each.id)) tree.replace({ ...each, unseen: true });
      }
    }
    const endedAt = performance.now();
    turn = { ...turn, phase, error, thinkingMs: turn.thinkingMs ?? thinkingTime(turn, endedAt) };
    if (phase !== 'calling') turn = { ...turn, calls: turn.calls.map((call) => ({ ...call, state: 'not-run' })) };
    if (firstTokenAt > 0 && phase !== 'failed') {
      turn = {
        ...turn,
        figures: figuresOf(
          before,
          await currentStats(engine),
          usage,
          firstTokenAt - turn.askedAt,
          endedAt - firstTokenAt,
          await countMedia(engine, shownTurns),
        ),
      };
    }
    this.showTurn(turn);
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

/** What of an answer the model goes on from. */
function unfinished({ content, reasoning }: AnswerTurn): ChatRequestMessage {
  const message: ChatRequestMessage = { role: 'assistant', content };
  if (reasoning) message.reasoning_content = reasoning;
  return message;
}

/** Ids of the earliest exchanges that are not forgotten yet, as many as make room; never the last message of the user. */
function forgettable(turns: readonly Turn[]): number[] {
  const told = turns.filter(({ forgotten }) => !forgotten);
  const last = told.findLastIndex(({ role }) => role === 'user');
  let left = told.reduce((sum, turn) => sum + weight(turn), 0);
  const most = left * KEPT_SHARE;
  const ids: number[] = [];
  for (const [i, turn] of told.slice(0, Math.max(0, last)).entries()) {
    // An answer without its question would be no conversation: whole exchanges go.
    if (turn.role === 'user' && i > 0 && left <= most) break;
    ids.push(turn.id);
    left -= weight(turn);
  }
  return ids;
}

function weight(turn: Turn): number {
  const media = seenAttachments(turn).reduce((sum, { tokens = 256 }) => sum + tokens * CHARACTERS_PER_TOKEN, 0);
  const calls = turn.role === 'assistant' ? turn.calls : [];
  return calls.reduce(
    (sum, call) => sum + call.arguments.length + (call.result?.length ?? 0),
    turn.content.length + media,
  );
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

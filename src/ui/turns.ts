/** What is said in a conversation, turn by turn, and how it lies in OpenAI's messages. */
import { type Attachment, messageContent, readContent } from './attachment.ts';
import type { ChatContentPart, ChatRequestMessage, ChatToolCall, MediaProgress } from './chat-engine.ts';
import { asToolCall, NOT_RUN, type ToolRun } from './tools.ts';

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

interface AnyTurn {
  readonly id: number;
  readonly content: string;
  /** When it began (`Date.now()`); 0 if that is not known. */
  readonly at: number;
  /** Later requests leave it out, because the context was full. */
  readonly forgotten?: boolean;
}

export interface UserTurn extends AnyTurn {
  readonly role: 'user';
  readonly attachments: readonly Attachment[];
  /** The model could not read the attachments: later requests leave them out, or they would fail too. */
  readonly unseen?: boolean;
}

export interface AnswerTurn extends AnyTurn {
  readonly role: 'assistant';
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
  /** Name of the model that answered. */
  readonly model?: string;
}

/** How an answer ended. `cut`: the token limit or the context's end was reached. `limit`: the model would have gone on calling tools. */
export const ENDS = ['done', 'cut', 'limit', 'stopped', 'failed'] as const;
export type AnswerEnd = (typeof ENDS)[number];

/** `reading`: no token yet. `calling`: tools are being called. */
export type AnswerPhase = 'reading' | 'thinking' | 'answering' | 'calling' | AnswerEnd;

export type Turn = UserTurn | AnswerTurn;

/** What one answer took. A figure the engine did not give is 0. */
export interface AnswerFigures {
  readonly decodeTokensPerSecond: number;
  readonly prefillTokensPerSecond: number;
  readonly timeToFirstTokenMs: number;
  readonly promptTokens: number;
  readonly reusedTokens: number;
  readonly completionTokens: number;
  /** Tokens that the engine drafted ahead, and those of them that were right. */
  readonly draftedTokens: number;
  readonly acceptedTokens: number;
  /**
   * Pictures and videos of the prompt: what they take of it, how many the model looked at, and how many it remembered. Of
   * a video two frames at a time are one picture.
   */
  readonly mediaTokens: number;
  readonly mediaRead: number;
  readonly mediaRemembered: number;
}

export function isRunning(turn: Turn | undefined): boolean {
  return turn?.role === 'assistant' && ['reading', 'thinking', 'answering', 'calling'].includes(turn.phase);
}

/** Nothing came of an answer: it is no loss when another takes its place. */
export function isEmpty({ content, reasoning, calls }: AnswerTurn): boolean {
  return content.trim() === '' && reasoning === '' && calls.length === 0;
}

let lastId = 0;

/** Unlike all others on the page, so that an answer that is still coming cannot be taken for one of another conversation. */
export function nextTurnId(): number {
  return ++lastId;
}

export function userTurn(content: string, attachments: readonly Attachment[]): UserTurn {
  return { role: 'user', id: nextTurnId(), at: Date.now(), content, attachments };
}

export function messagesOf(turns: readonly Turn[]): ChatMessage[] {
  return turns.flatMap((turn): ChatMessage[] => {
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

export function turnsOf(messages: readonly ChatMessage[]): Turn[] {
  const results = new Map(messages.map((message) => [message.tool_call_id, readContent(message.content ?? '').text]));
  return messages
    .filter(({ role }) => role !== 'tool')
    .map(({ role, content, reasoning_content = '', tool_calls = [] }): Turn => {
      const { text, attachments } = readContent(content ?? '');
      if (role === 'user') return { role, id: nextTurnId(), at: 0, content: text, attachments };
      const calls = tool_calls.map(({ id, function: { name, arguments: json } }): ToolRun => {
        const result = results.get(id);
        return { id, name, arguments: json, state: result === undefined ? 'not-run' : 'done', result };
      });
      return {
        role: 'assistant',
        id: nextTurnId(),
        at: 0,
        content: text,
        reasoning: reasoning_content,
        calls,
        phase: 'done',
        askedAt: 0,
      };
    });
}

/** The template refuses empty messages, and an answer that failed before its first word is none. */
export function requestMessages(turns: readonly Turn[], system: string): ChatRequestMessage[] {
  const said = turns.flatMap((turn): ChatRequestMessage[] => {
    const { role, content } = turn;
    if (turn.forgotten) return [];
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

/** What the model is shown of a turn's attachments. */
export function seenAttachments(turn: Turn): readonly Attachment[] {
  return turn.role === 'user' && !turn.unseen && !turn.forgotten ? turn.attachments : [];
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

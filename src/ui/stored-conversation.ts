/**
 * A conversation as it is kept: plain data with every branch, in which media are the Blobs they are. IndexedDB and
 * `structuredClone` take it as it is; JSON does where there are no Blobs in it.
 */
import { messageOf, QwenError } from '../errors.ts';
import { type Attachment, nextAttachmentId } from './attachment.ts';
import type { ToolRun } from './tools.ts';
import { type PlacedTurn, TurnTree } from './turn-tree.ts';
import {
  type AnswerEnd,
  type AnswerFigures,
  type AnswerTurn,
  ENDS,
  isRunning,
  nextTurnId,
  type Turn,
  type UserTurn,
} from './turns.ts';

export interface StoredConversation {
  version: 1;
  /** All messages of all branches; each comes after the one that it follows. */
  messages: StoredMessage[];
}

export type StoredMessage = StoredUserMessage | StoredAnswer;

interface StoredPlace {
  /** Place in `messages` of the message that it follows; none for one that begins a conversation. */
  after?: number;
  /** Of those that follow the same message, the one that is shown. */
  shown?: boolean;
  /** Milliseconds since 1970; 0 if not known. */
  at: number;
  content: string;
  /** Requests leave it out, because the context was full. */
  forgotten?: boolean;
}

export interface StoredUserMessage extends StoredPlace {
  role: 'user';
  attachments?: StoredAttachment[];
  /** The model could not read the attachments. */
  unseen?: boolean;
}

export interface StoredAnswer extends StoredPlace {
  role: 'assistant';
  reasoning?: string;
  thinkingMs?: number;
  calls?: ToolRun[];
  misreadCall?: boolean;
  /** How it ended; one that is still coming is kept as stopped. */
  ended: AnswerEnd;
  error?: StoredError;
  figures?: AnswerFigures;
  model?: string;
}

export type StoredAttachment = Omit<Attachment, 'id'>;

export interface StoredError {
  code?: string;
  message: string;
  file?: string;
  param?: string;
  status?: number;
}

export function storeTree(tree: TurnTree): StoredConversation {
  return { version: 1, messages: tree.list().map(storeTurn) };
}

function storeTurn({ turn, after, shown }: PlacedTurn): StoredMessage {
  const { at, content, forgotten } = turn;
  const place = compact({ after, shown: shown || undefined, at, content, forgotten });
  if (turn.role === 'user') {
    const { attachments, unseen } = turn;
    const stored = attachments.map(({ id: _, ...kept }) => kept);
    return { role: 'user', ...place, ...compact({ attachments: stored.length > 0 ? stored : undefined, unseen }) };
  }
  const { reasoning, calls, misreadCall, error, figures, model, thinkingSince } = turn;
  const thinkingMs =
    turn.thinkingMs ?? (isRunning(turn) && thinkingSince !== undefined ? performance.now() - thinkingSince : undefined);
  return {
    role: 'assistant',
    ...place,
    ended: isRunning(turn) ? 'stopped' : (turn.phase as AnswerEnd),
    ...compact({
      reasoning: reasoning || undefined,
      thinkingMs,
      calls: calls.length > 0 ? calls.map((call) => ({ ...call })) : undefined,
      misreadCall,
      error: error === undefined ? undefined : storeError(error),
      figures,
      model,
    }),
  };
}

/** Without the fields that are undefined: JSON would drop them too. */
function compact<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

function storeError(error: unknown): StoredError {
  const { code, file, param, status } = (error ?? {}) as Record<string, unknown>;
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
  return compact({
    code: text(code),
    message: messageOf(error),
    file: text(file),
    param: text(param),
    status: typeof status === 'number' ? status : undefined,
  });
}

/** @throws QwenError `invalid-request` with the place (`param`) where it is no stored conversation */
export function readStored(stored: unknown): TurnTree {
  const { version, messages } = record(stored, 'conversation');
  if (version !== 1) throw wrong('conversation.version', `is ${String(version)}; this version reads 1`);
  const placed = list(messages, 'conversation.messages').map((message, i) =>
    readMessage(message, i, `conversation.messages[${i}]`),
  );
  return TurnTree.from(placed);
}

function readMessage(message: unknown, index: number, at: string): PlacedTurn {
  const { role, after, shown, ...fields } = record(message, at);
  if (after !== undefined && !(Number.isInteger(after) && (after as number) >= 0 && (after as number) < index)) {
    throw wrong(`${at}.after`, 'is no place of an earlier message');
  }
  const same = {
    id: nextTurnId(),
    at: optional(fields.at, number, `${at}.at`) ?? 0,
    content: text(fields.content, `${at}.content`),
    forgotten: optional(fields.forgotten, flag, `${at}.forgotten`),
  };
  const turn: Turn =
    role === 'user'
      ? ({ role, ...same, ...readUser(fields, at) } satisfies UserTurn)
      : role === 'assistant'
        ? ({ role, ...same, ...readAnswer(fields, at) } satisfies AnswerTurn)
        : fail(`${at}.role`, 'is neither user nor assistant');
  return { turn, after: after as number | undefined, shown: optional(shown, flag, `${at}.shown`) ?? false };
}

function readUser(fields: Record<string, unknown>, at: string) {
  return {
    attachments: (optional(fields.attachments, list, `${at}.attachments`) ?? []).map((each, i) =>
      readAttachment(each, `${at}.attachments[${i}]`),
    ),
    unseen: optional(fields.unseen, flag, `${at}.unseen`),
  };
}

function readAnswer(fields: Record<string, unknown>, at: string) {
  const { ended } = fields;
  if (!ENDS.includes(ended as AnswerEnd)) throw wrong(`${at}.ended`, `is none of ${ENDS.join(', ')}`);
  return {
    reasoning: optional(fields.reasoning, text, `${at}.reasoning`) ?? '',
    thinkingMs: optional(fields.thinkingMs, number, `${at}.thinkingMs`),
    calls: (optional(fields.calls, list, `${at}.calls`) ?? []).map((each, i) => readCall(each, `${at}.calls[${i}]`)),
    misreadCall: optional(fields.misreadCall, flag, `${at}.misreadCall`),
    phase: ended as AnswerEnd,
    askedAt: 0,
    error: optional(fields.error, readError, `${at}.error`),
    figures: optional(fields.figures, readFigures, `${at}.figures`),
    model: optional(fields.model, text, `${at}.model`),
  };
}

function readAttachment(value: unknown, at: string): Attachment {
  const { kind, source, name, preview, ...sizes } = record(value, at);
  if (kind !== 'image' && kind !== 'video') throw wrong(`${at}.kind`, 'is neither image nor video');
  const size = (field: string) => optional(sizes[field], number, `${at}.${field}`);
  return {
    id: nextAttachmentId(),
    kind,
    source: media(source, `${at}.source`),
    name: text(name, `${at}.name`),
    preview: optional(preview, media, `${at}.preview`),
    width: size('width'),
    height: size('height'),
    seconds: size('seconds'),
    tokens: size('tokens'),
    frames: size('frames'),
  };
}

const CALL_STATES = ['done', 'failed', 'not-run'] as const;

function readCall(value: unknown, at: string): ToolRun {
  const { id, name, arguments: json, state, result } = record(value, at);
  return {
    id: text(id, `${at}.id`),
    name: text(name, `${at}.name`),
    arguments: text(json, `${at}.arguments`),
    // One that was being written or run when it was kept will not end any more.
    state: CALL_STATES.find((each) => each === state) ?? 'not-run',
    result: optional(result, text, `${at}.result`),
  };
}

function readError(value: unknown, at: string): Error {
  const { code, message, file, param, status } = record(value, at);
  return Object.assign(
    new Error(text(message, `${at}.message`)),
    compact({
      code: optional(code, text, `${at}.code`),
      file: optional(file, text, `${at}.file`),
      param: optional(param, text, `${at}.param`),
      status: optional(status, number, `${at}.status`),
    }),
  );
}

function readFigures(value: unknown, at: string): AnswerFigures {
  const fields = record(value, at);
  const figure = (name: keyof AnswerFigures) => optional(fields[name], number, `${at}.${name}`) ?? 0;
  return {
    decodeTokensPerSecond: figure('decodeTokensPerSecond'),
    prefillTokensPerSecond: figure('prefillTokensPerSecond'),
    timeToFirstTokenMs: figure('timeToFirstTokenMs'),
    promptTokens: figure('promptTokens'),
    reusedTokens: figure('reusedTokens'),
    completionTokens: figure('completionTokens'),
    draftedTokens: figure('draftedTokens'),
    acceptedTokens: figure('acceptedTokens'),
    mediaTokens: figure('mediaTokens'),
    mediaRead: figure('mediaRead'),
    mediaRemembered: figure('mediaRemembered'),
  };
}

/** What is absent stays so; `null` is what JSON makes of some of it. */
function optional<T>(value: unknown, read: (value: unknown, at: string) => T, at: string): T | undefined {
  return value === undefined || value === null ? undefined : read(value, at);
}

function record(value: unknown, at: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw wrong(at, 'is no object');
}

function list(value: unknown, at: string): unknown[] {
  return Array.isArray(value) ? value : fail(at, 'is no list');
}

function text(value: unknown, at: string): string {
  return typeof value === 'string' ? value : fail(at, 'is no text');
}

function number(value: unknown, at: string): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : fail(at, 'is no number');
}

function flag(value: unknown, at: string): boolean {
  return typeof value === 'boolean' ? value : fail(at, 'is neither true nor false');
}

function media(value: unknown, at: string): string | Blob {
  return typeof value === 'string' || value instanceof Blob ? value : fail(at, 'is neither an address nor a Blob');
}

function fail(at: string, what: string): never {
  throw wrong(at, what);
}

function wrong(at: string, what: string): QwenError {
  return new QwenError('invalid-request', `This is no conversation that can be restored: ${at} ${what}.`, {
    param: at,
  });
}

/**
 * Every error this package throws on purpose: one class, a stable `code` per kind of trouble, a message that says
 * what happened, to which file or setting, and what to do next.
 */

/** Stable identifiers; messages may be reworded, codes are not. */
export type QwenErrorCode =
  // The file and the way to it
  | 'not-found' // 404 or 410
  | 'http-error' // any other status
  | 'network' // connection refused or dropped, DNS, or blocked by CORS before an answer could be read
  | 'cors' // the server answers, but not to this origin
  | 'not-a-gguf' // wrong magic; HTML or a Git LFS pointer instead of a model
  | 'unsupported-gguf' // GGUF version, architecture, tokenizer or tensor type that this package does not run
  | 'corrupt-gguf' // a count, length, offset or shape in the header cannot be right
  | 'truncated' // fewer bytes than the header promises
  | 'file-changed' // ETag or length differ from what is stored or was first seen
  | 'missing-shard'
  | 'permission-needed' // a remembered file: the user has to allow reading it again, in a click
  // A server in place of an engine
  | 'unauthorized' // it wants a key, or another one
  | 'model-not-found' // it has no such model
  | 'no-service-worker' // this page may not have any
  | 'endpoint-error' // it reported an error, or is no OpenAI-compatible server
  // The store
  | 'quota-exceeded'
  | 'store-unavailable' // IndexedDB is disabled, or the database is blocked or broken
  | 'store-corrupt' // stored bytes fail their check
  // The device
  | 'no-webgpu'
  | 'device-lost'
  | 'out-of-memory'
  | 'device-limit' // something needs more than a limit of this device
  | 'shader' // a pipeline failed to compile: a bug of ours, with the kernel's name
  | 'worker-crashed' // the worker could not be started, or threw where nothing caught it
  // Requests
  | 'invalid-request' // `param` names the field
  | 'context-overflow'
  | 'no-vision' // an image or video for a model that was loaded without a vision tower
  | 'bad-image' // bytes that are no picture, or a picture of an impossible shape
  | 'bad-video' // bytes that are no video that this browser plays, or a video without an end
  | 'disposed';

export interface QwenErrorDetails {
  /** URL or file name concerned. */
  file?: string;
  /** Request field concerned, as in OpenAI's error objects. */
  param?: string;
  /** HTTP status, where a server answered. */
  status?: number;
}

/**
 * The error class of this package.
 *
 * @example
 * try { await Engine.load({ model }) } catch (e) { if (e instanceof QwenError && e.code === 'quota-exceeded') … }
 */
export class QwenError extends Error {
  override readonly name = 'QwenError';
  readonly code: QwenErrorCode;
  readonly file?: string;
  readonly param?: string;
  readonly status?: number;

  constructor(code: QwenErrorCode, message: string, details: QwenErrorDetails & { cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.file = details.file;
    this.param = details.param;
    this.status = details.status;
  }
}

/** What was thrown, in words: anything can be. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Throws the signal's reason (an `AbortError`, unless the caller chose another) if it is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw signal.reason ?? new DOMException('This operation was aborted', 'AbortError');
}

/** `promise`, or a rejection with the signal's reason, whichever comes first. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** A plain object that `structuredClone` can carry; `fromWire` rebuilds the same class on the other side of a worker. */
export type WireError =
  | { kind: 'qwen'; code: QwenErrorCode; message: string; details: QwenErrorDetails; stack?: string }
  | { kind: 'dom'; name: string; message: string }
  | { kind: 'other'; name: string; message: string; stack?: string };

export function toWire(error: unknown): WireError {
  if (error instanceof QwenError) {
    const { code, message, file, param, status, stack } = error;
    return { kind: 'qwen', code, message, details: { file, param, status }, stack };
  }
  if (error instanceof DOMException) return { kind: 'dom', name: error.name, message: error.message };
  if (error instanceof Error) return { kind: 'other', name: error.name, message: error.message, stack: error.stack };
  return { kind: 'other', name: 'Error', message: String(error) };
}

export function fromWire(wire: WireError): Error {
  switch (wire.kind) {
    case 'dom':
      return new DOMException(wire.message, wire.name);
    case 'qwen':
      return Object.assign(new QwenError(wire.code, wire.message, wire.details), wire.stack && { stack: wire.stack });
    case 'other':
      return Object.assign(new Error(wire.message), { name: wire.name }, wire.stack && { stack: wire.stack });
  }
}

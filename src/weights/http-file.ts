/**
 * One file on an HTTP server, read by ranges: resumed where a connection broke, refused with a reason when the server
 * sends anything else than the bytes that were asked for.
 *
 * Requests carry no header but `Range`, the only one here that a cross-origin request may have without a preflight that
 * few file servers answer. So instead of `If-Range` each answer's ETag is compared. A range is asked for with
 * `Accept-Encoding: identity` by the platform itself.
 */
import { QwenError, type QwenErrorCode, throwIfAborted } from '../errors.ts';
import type { FileVersion } from './store.ts';

export interface HttpOptions {
  /** Wait before the first repetition; doubles with each. Default 500. */
  retryDelayMs?: number;
  /** A connection that brings nothing for so long counts as dropped. Default 60,000. */
  stallMs?: number;
}

/** The server's answer to the first range: the range, or the whole file from a server without ranges. */
export type FirstAnswer =
  | { kind: 'part'; version: FileVersion; head: Uint8Array<ArrayBuffer> }
  | { kind: 'whole'; response: Response; size: number | undefined };

/** Thrown by `stream` when the server answers a range with the whole file. */
export class RangeIgnored extends Error {
  override readonly name = 'RangeIgnored';
  constructor(readonly response: Response) {
    super('The server ignored the Range header.');
  }
}

const REPETITIONS = 5;
/** At the first contact there is nothing to lose: a wrong address should be told soon. */
const FIRST_REPETITIONS = 3;
const CHECK_TIMEOUT_MS = 10_000;

export class HttpFile {
  /** Without fragment. */
  readonly url: string;
  /** Every answer is held against this, once it is known. */
  version: FileVersion | undefined;
  /** Where redirects led. Signed addresses expire: after a refusal the original one is asked again. */
  private direct: string | undefined;
  private readonly retryDelayMs: number;
  private readonly stallMs: number;

  constructor(url: string, { retryDelayMs = 500, stallMs = 60_000 }: HttpOptions = {}) {
    this.url = absoluteUrl(url);
    this.retryDelayMs = retryDelayMs;
    this.stallMs = stallMs;
  }

  /** First contact: learns the file's size and version with the first bytes of it. */
  async open(bytes: number, signal: AbortSignal): Promise<FirstAnswer> {
    const retry = new Retry(FIRST_REPETITIONS, this.retryDelayMs);
    const response = await this.request(rangeHeader(0, bytes), retry, signal);
    if (response.status === 416) throw this.error('truncated', 'is empty. Download it again.');
    this.refuseHtml(response);
    if (response.status === 200) return { kind: 'whole', response, size: lengthOfBody(response) };

    const seen = describe(response);
    const size = seen.size ?? (await this.sizeWithoutContentRange(signal));
    if (size === undefined) {
      // Neither Content-Range nor any Content-Length: only the end of the body tells where the file ends.
      discard(response);
      return { kind: 'whole', response: await this.requestWhole(signal), size: undefined };
    }
    this.version = { url: this.url, size, etag: seen.etag, lastModified: seen.lastModified };
    const end = Math.min(bytes, size);
    const head = new Uint8Array(end);
    let at = 0;
    for await (const piece of this.stream(0, end, signal, response)) {
      head.set(piece, at);
      at += piece.length;
    }
    return { kind: 'part', version: this.version, head };
  }

  /** Asks the server, without fetching anything of the file, whether it still has this version. */
  async check(stored: FileVersion, signal: AbortSignal): Promise<'same' | 'changed' | 'unconfirmed'> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(CHECK_TIMEOUT_MS)]);
    const ask = async (init: RequestInit): Promise<'same' | 'changed' | 'unconfirmed'> => {
      try {
        const response = await fetch(this.url, { ...init, cache: 'no-store', signal: limited });
        discard(response);
        // A page instead of the file may come from the login page of a network: no reason to drop what is stored.
        if (!response.ok || isHtml(response)) return 'unconfirmed';
        const seen =
          response.status === 206 ? describe(response) : { ...describe(response), size: lengthOfBody(response) };
        return compare(stored, seen);
      } catch {
        throwIfAborted(signal);
        return 'unconfirmed';
      }
    };
    const byHead = await ask({ method: 'HEAD' });
    if (byHead === 'same') return 'same';
    // Servers refuse HEAD, or describe a compressed form of the file. The answer to a range is what was stored.
    return globalThis.navigator?.onLine === false ? 'unconfirmed' : ask({ headers: rangeHeader(0, 1) });
  }

  /**
   * Bytes `[start, end)` in order, as they arrive; broken connections are resumed.
   * @param first an answer to this very range that is already there
   * @throws RangeIgnored with the response that has the whole file
   */
  async *stream(
    start: number,
    end: number,
    signal: AbortSignal,
    first?: Response,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    const retry = new Retry(REPETITIONS, this.retryDelayMs);
    let response = first;
    for (let at = start; at < end; response = undefined) {
      response ??= await this.request(rangeHeader(at, end), retry, signal);
      this.checkPart(response, at, response === first ? undefined : end);
      try {
        for await (const piece of this.pieces(response, signal)) {
          const wanted = piece.length > end - at ? piece.subarray(0, end - at) : piece;
          at += wanted.length;
          retry.progress(wanted.length);
          if (wanted.length > 0) yield wanted;
          // Read to its own end, a body leaves the connection open for the next request.
          if (wanted.length < piece.length) return;
        }
      } catch (cause) {
        throwIfAborted(signal);
        if (at === end) return;
        await retry.wait(this.dropped(at, cause), signal);
        continue;
      }
      if (at < end) await retry.wait(this.dropped(at), signal);
    }
  }

  /** The whole file, from a server without ranges. */
  async requestWhole(signal: AbortSignal): Promise<Response> {
    const response = await this.request({}, new Retry(REPETITIONS, this.retryDelayMs), signal);
    this.refuseHtml(response);
    this.checkVersion(describe({ headers: response.headers, status: 200 }));
    return response;
  }

  /** A body's pieces as they come. @throws if the connection breaks, or brings nothing for too long */
  async *pieces(response: Response, signal: AbortSignal): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    if (!response.body) return;
    const reader = response.body.getReader();
    const onAbort = () => void reader.cancel(signal.reason).catch(() => {});
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        throwIfAborted(signal);
        const { done, value } = await withTimeout(reader.read(), this.stallMs);
        throwIfAborted(signal);
        if (done) return;
        yield value;
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      reader.cancel().catch(() => {}); // Ends the connection if it still runs; a finished or broken body may refuse.
    }
  }

  /** One answer with status 200, 206 or 416; repeated after what may pass: 429, 5xx, a failed connection. */
  private async request(headers: Record<string, string>, retry: Retry, signal: AbortSignal): Promise<Response> {
    for (;;) {
      throwIfAborted(signal);
      const silence = new AbortController();
      const timer = setTimeout(() => silence.abort(), this.stallMs);
      let response: Response;
      try {
        // no-store: Chromium's cache lets one request a file at a time through, and would keep a second copy of it.
        response = await fetch(this.direct ?? this.url, {
          headers,
          cache: 'no-store',
          signal: AbortSignal.any([signal, silence.signal]),
        });
      } catch (cause) {
        throwIfAborted(signal);
        if (this.forgetDirect()) continue;
        const error = await this.unreachable(cause, signal);
        if (error.code === 'cors' || globalThis.navigator?.onLine === false) throw error;
        await retry.wait(error, signal);
        continue;
      } finally {
        clearTimeout(timer);
      }
      if (response.redirected) this.direct = response.url;
      if (response.status === 200 || response.status === 206 || response.status === 416) return response;
      discard(response);
      if (response.status < 500 && response.status !== 429 && this.forgetDirect(response)) continue;
      const error = this.statusError(response.status);
      if (response.status !== 429 && response.status < 500) throw error;
      await retry.wait(error, signal, Number(response.headers.get('retry-after')) * 1000);
    }
  }

  /** Whether there was another address to go back to. A refusal that itself came through a redirect is final. */
  private forgetDirect(refusal?: Response): boolean {
    const known = this.direct !== undefined;
    this.direct = undefined;
    return known && !refusal?.redirected;
  }

  private async sizeWithoutContentRange(signal: AbortSignal): Promise<number | undefined> {
    // CORS hides Content-Range unless the server exposes it, but never Content-Length.
    for (const method of ['HEAD', 'GET']) {
      try {
        const response = await fetch(this.direct ?? this.url, { method, cache: 'no-store', signal });
        discard(response);
        if (response.status === 200) return lengthOfBody(response);
      } catch {
        throwIfAborted(signal); // Otherwise the next way is tried.
      }
    }
    return undefined;
  }

  /** @param end absent for the first range, which may reach beyond the end of the file */
  private checkPart(response: Response, start: number, end: number | undefined): void {
    this.refuseHtml(response);
    const seen = describe(response);
    if (response.status === 416) {
      discard(response);
      throw this.changed(`it has no byte ${start} any more`);
    }
    try {
      this.checkVersion(seen);
    } catch (error) {
      discard(response);
      throw error;
    }
    if (response.status === 200) throw new RangeIgnored(response);
    const length = lengthOfBody(response);
    const wrong =
      (seen.start !== undefined && seen.start !== start) ||
      (end !== undefined && length !== undefined && length > end - start);
    if (wrong) {
      discard(response);
      throw this.error(
        'http-error',
        'came with other bytes than were asked for. Its server answers ranges wrongly.',
        206,
      );
    }
  }

  private checkVersion(seen: SeenVersion): void {
    if (this.version && compare(this.version, seen) === 'changed')
      throw this.changed('its size or ETag is another now');
  }

  private changed(how: string): QwenError {
    return this.error(
      'file-changed',
      `changed on the server while it was read: ${how}. Load it again to get the new version.`,
    );
  }

  private refuseHtml(response: Response): void {
    if (!isHtml(response)) return;
    discard(response);
    throw this.error(
      'not-a-gguf',
      'is a web page (HTML), not a GGUF model. Use the link of the file itself (on Hugging Face: /resolve/, not /blob/).',
    );
  }

  private dropped(at: number, cause?: unknown): QwenError {
    return this.error(
      'network',
      `broke off at byte ${at}, again and again. Check the connection and load again: what is stored already is not fetched anew.`,
      undefined,
      cause,
    );
  }

  private statusError(status: number): QwenError {
    switch (status) {
      case 404:
      case 410:
        return this.error('not-found', `does not exist on the server (status ${status}). Check the address.`, status);
      case 401:
      case 403:
        return this.error(
          'http-error',
          `may not be read (status ${status}): it is private, gated, or the link has expired. Use a public link, or a fresh one.`,
          status,
        );
      case 429:
        return this.error('http-error', 'was refused: too many requests (status 429). Try again later.', status);
      default:
        return this.error(
          'http-error',
          `could not be fetched: the server answered with status ${status}. ${status >= 500 ? 'Try again later.' : 'Check the address.'}`,
          status,
        );
    }
  }

  /** `fetch` gives the same TypeError for a refused origin and for no connection: an opaque request tells them apart. */
  private async unreachable(cause: unknown, signal: AbortSignal): Promise<QwenError> {
    const url = new URL(this.url);
    const origin = globalThis.origin as string | undefined; // Node has none.
    if (globalThis.navigator?.onLine === false) {
      return this.error(
        'network',
        'could not be fetched: this device is offline. Connect it and load again.',
        undefined,
        cause,
      );
    }
    if (origin?.startsWith('https:') && url.protocol === 'http:' && !/^(localhost|127\.|\[::1\])/.test(url.hostname)) {
      return this.error(
        'network',
        'could not be fetched: a page served over https may not load from http. Use an https address.',
        undefined,
        cause,
      );
    }
    if (origin !== undefined && origin !== url.origin) {
      try {
        const limited = AbortSignal.any([signal, AbortSignal.timeout(CHECK_TIMEOUT_MS)]);
        await fetch(this.url, { method: 'HEAD', mode: 'no-cors', cache: 'no-store', signal: limited });
        return this.error(
          'cors',
          `may not be read by pages of ${origin}: its server does not allow it (CORS). Have the server send Access-Control-Allow-Origin, host the file with the page, or download it and pick it as a file.`,
          undefined,
          cause,
        );
      } catch {
        throwIfAborted(signal);
      }
    }
    return this.error(
      'network',
      `could not be fetched: ${url.host} cannot be reached. Check the address and the connection.`,
      undefined,
      cause,
    );
  }

  private error(code: QwenErrorCode, what: string, status?: number, cause?: unknown): QwenError {
    return new QwenError(code, `${this.url} ${what}`, { file: this.url, status, cause });
  }
}

/** Counts failures without progress between them, and waits longer after each. */
class Retry {
  private failures = 0;
  private bytes = 0;

  constructor(
    private readonly limit: number,
    private readonly delayMs: number,
  ) {}

  progress(bytes: number): void {
    this.bytes += bytes;
    // Some bytes a connection are no progress worth another round for ever.
    if (this.bytes < MIN_PROGRESS_BYTES) return;
    this.bytes = 0;
    this.failures = 0;
  }

  /** @throws `error` when it has been tried often enough */
  async wait(error: QwenError, signal: AbortSignal, askedMs = 0): Promise<void> {
    if (++this.failures > this.limit) throw error;
    const delay = this.delayMs * 2 ** (this.failures - 1) * (0.75 + Math.random() / 2);
    const asked = Number.isFinite(askedMs) ? Math.min(askedMs, LONGEST_ASKED_DELAY_MS) : 0;
    await sleep(Math.max(delay, asked), signal);
  }
}

const MIN_PROGRESS_BYTES = 64 * 1024;
const LONGEST_ASKED_DELAY_MS = 30_000;

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function withTimeout<T>(work: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Nothing came for ${ms} ms.`)), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** What one answer tells about the file; CORS may hide any of it. */
interface SeenVersion {
  start?: number;
  size?: number;
  etag?: string;
  lastModified?: string;
}

function describe({ headers, status }: Pick<Response, 'headers' | 'status'>): SeenVersion {
  const range = status === 206 ? /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get('content-range') ?? '') : null;
  const size = range ? Number(range[2]) : undefined;
  return {
    start: range ? Number(range[1]) : undefined,
    size: Number.isSafeInteger(size) ? size : undefined,
    // Weak or strong makes no difference here: bytes are never patched together from two versions known to differ.
    etag: headers.get('etag')?.replace(/^W\//, '') ?? undefined,
    lastModified: headers.get('last-modified') ?? undefined,
  };
}

function compare(known: FileVersion, seen: SeenVersion): 'same' | 'changed' | 'unconfirmed' {
  if (seen.size !== undefined && seen.size !== known.size) return 'changed';
  if (seen.etag && known.etag) return seen.etag === known.etag ? 'same' : 'changed';
  if (seen.lastModified && known.lastModified) return seen.lastModified === known.lastModified ? 'same' : 'changed';
  return seen.size === undefined ? 'unconfirmed' : 'same';
}

/** Content-Length, unless it counts a compressed body. */
function lengthOfBody({ headers }: Response): number | undefined {
  const encoding = headers.get('content-encoding');
  const length = headers.get('content-length');
  return length && /^\d+$/.test(length) && (!encoding || encoding === 'identity') ? Number(length) : undefined;
}

function isHtml(response: Response): boolean {
  return /^\s*(text\/html|application\/xhtml)/i.test(response.headers.get('content-type') ?? '');
}

function discard(response: Response): void {
  response.body?.cancel().catch(() => {}); // Nobody reads it; it may be finished or broken already.
}

function rangeHeader(start: number, end: number): Record<string, string> {
  return { range: `bytes=${start}-${end - 1}` };
}

/** The form in which URLs are kept: absolute, without fragment. @throws QwenError `invalid-request` */
export function absoluteUrl(url: string): string {
  try {
    const base = typeof location === 'undefined' ? undefined : (globalThis.document?.baseURI ?? location.href);
    const absolute = new URL(url, base);
    absolute.hash = '';
    return absolute.href;
  } catch (cause) {
    throw new QwenError('invalid-request', `${JSON.stringify(url)} is no URL of a model.`, {
      param: 'model',
      file: url,
      cause,
    });
  }
}

import { QwenError } from '../errors.ts';

export type MediaKind = 'image' | 'video';

/**
 * The file at an image's address.
 * @param url `data:`, `blob:` or `http(s):`, or the file itself
 * @throws QwenError `invalid-request`, `not-found`, `http-error`, `network`; the signal's reason on abort
 */
export async function fetchImage(url: string | Blob, param: string, signal?: AbortSignal): Promise<Blob> {
  if (url instanceof Blob) return url;
  return (await fetchMedia(url, param, 'image', signal)).blob();
}

/** What the server answers with; its status is good. @throws as `fetchImage` */
export async function fetchMedia(url: string, param: string, kind: MediaKind, signal?: AbortSignal): Promise<Response> {
  if (!/^(data|blob|https?):/i.test(url)) {
    throw new QwenError('invalid-request', `${param} must be a data:, blob:, https: or http: address.`, { param });
  }
  const file = mediaName(url, kind);
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    if (/^data:/i.test(url)) {
      throw new QwenError(`bad-${kind}`, `${param} is no valid data: address.`, { param, cause });
    }
    if (/^blob:/i.test(url)) {
      throw new QwenError(
        'not-found',
        `${file} holds no file any more: it was revoked, or belongs to a stream or another page. Attach the ${kind} as a file.`,
        { file, param, cause },
      );
    }
    throw new QwenError(
      'network',
      `${file} could not be fetched: the connection failed, or its server does not let this page read it (CORS). Check the address, or attach the ${kind} as a file.`,
      { file, param, cause },
    );
  }
  if (!response.ok) {
    const code = response.status === 404 || response.status === 410 ? 'not-found' : 'http-error';
    throw new QwenError(code, `${file}: the server answered ${response.status}. Check the ${kind}'s address.`, {
      file,
      param,
      status: response.status,
    });
  }
  return response;
}

/** For messages: the address, unless it is the content itself. */
export function mediaName(url: string | Blob, kind: MediaKind): string {
  if (url instanceof Blob) return url instanceof File && url.name !== '' ? url.name : `The ${kind}`;
  return /^data:/i.test(url) ? `The ${kind} in a data: address` : url;
}

import { QwenError } from '../errors.ts';

/**
 * The file at an image's address.
 * @param url `data:`, `blob:` or `http(s):`, or the file itself
 * @throws QwenError `invalid-request`, `not-found`, `http-error`, `network`; the signal's reason on abort
 */
export async function fetchImage(url: string | Blob, param: string, signal?: AbortSignal): Promise<Blob> {
  if (url instanceof Blob) return url;
  if (!/^(data|blob|https?):/i.test(url)) {
    throw new QwenError('invalid-request', `${param} must be a data:, blob:, https: or http: address.`, { param });
  }
  const file = imageName(url);
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    if (/^data:/i.test(url)) throw new QwenError('bad-image', `${param} is no valid data: address.`, { param, cause });
    throw new QwenError(
      'network',
      `${file} could not be fetched: the connection failed, or its server does not let this page read it (CORS). Check the address, or attach the image as a file.`,
      { file, param, cause },
    );
  }
  if (!response.ok) {
    const code = response.status === 404 || response.status === 410 ? 'not-found' : 'http-error';
    throw new QwenError(code, `${file}: the server answered ${response.status}. Check the image's address.`, {
      file,
      param,
      status: response.status,
    });
  }
  return response.blob();
}

/** For messages: the address, unless it is the content itself. */
export function imageName(url: string | Blob): string {
  if (url instanceof Blob) return url instanceof File && url.name !== '' ? url.name : 'The image';
  return /^data:/i.test(url) ? 'The image in a data: address' : url;
}

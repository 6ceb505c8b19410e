import { QwenError, throwIfAborted } from '../errors.ts';
import { fetchMedia, mediaName } from './fetch-media.ts';

/** Bytes that have come, and all; 0 while unknown. */
export type OnBytes = (loaded: number, total: number) => void;

/** A stream that goes on for ever would fill the disk. */
const MOST_BYTES = 4 * 2 ** 30;

/**
 * The file at a video's address, as a whole: seeking in it then needs no server that answers ranges, and frames of it may
 * be read wherever it came from.
 * @throws QwenError `invalid-request`, `not-found`, `http-error`, `network`, `bad-video`; the signal's reason on abort
 */
export async function fetchVideo(
  source: string | Blob,
  param: string,
  { onBytes, signal }: { onBytes?: OnBytes; signal?: AbortSignal } = {},
): Promise<{ file: Blob; name: string }> {
  const name = mediaName(source, 'video');
  if (source instanceof Blob) return { file: source, name };
  const response = await fetchMedia(source, param, 'video', signal);
  const total = Number(response.headers.get('content-length') ?? 0);
  const parts: Blob[] = [];
  let loaded = 0;
  try {
    for await (const piece of response.body ?? []) {
      parts.push(new Blob([piece])); // which the browser may keep on disk
      loaded += piece.byteLength;
      onBytes?.(loaded, total);
      if (loaded > MOST_BYTES) {
        throw new QwenError('bad-video', `${name} has more than 4 GiB, or no end. Send a part of it as a file.`, {
          file: name,
          param,
        });
      }
    }
  } catch (cause) {
    throwIfAborted(signal);
    if (cause instanceof QwenError) throw cause;
    throw new QwenError('network', `${name}: the connection broke after ${loaded} bytes. Try again.`, {
      file: name,
      param,
      cause,
    });
  }
  return { file: new Blob(parts, { type: response.headers.get('content-type') ?? '' }), name };
}

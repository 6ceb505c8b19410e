/**
 * A page's side of pictures and videos: what only a page has, such as elements and addresses relative to it, becomes
 * something that can cross to a worker.
 */
import { QwenError } from '../errors.ts';
import { isBitmap } from './content-parts.ts';
import type { ChatCompletionRequest, ContentPart, ImagePart, MediaSource, VideoPart } from './types.ts';

type MediaPart = ImagePart | VideoPart;

/** An address as the page means it: a worker would resolve a relative one against its own script. */
export function absoluteUrl(url: string): string {
  const base = typeof document === 'undefined' ? globalThis.location?.href : document.baseURI;
  return base !== undefined && URL.canParse(url, base) ? new URL(url, base).href : url;
}

/** A copy of a request that can cross to a worker, and how many pictures and videos it has. */
export interface Portable<Request> {
  readonly request: Request;
  readonly media: number;
}

/**
 * Copies a request as it is now; pictures that a page holds are copied as bitmaps.
 * @throws QwenError `invalid-request` for what cannot be copied, `bad-image`, `bad-video`, `cors`
 */
export async function portableRequest<Request>(request: Request): Promise<Portable<Request>> {
  const taken = mediaParts(request).map(({ part, param }) => ({ param, source: sourceOf(part) }));
  const copy = cloneable(withoutSources(request));
  const parts = mediaParts(copy);
  await Promise.all(
    taken.map(async ({ source, param }, i) => {
      setSource(parts[i].part, await portableSource(source, param));
    }),
  );
  return { request: copy, media: parts.length };
}

/** What `Engine.countMediaTokens` takes, as a part that can cross to a worker. */
export async function portablePart(source: MediaSource): Promise<MediaPart> {
  const part = { ...asPart(source) } as MediaPart;
  const url = await portableSource(sourceOf(part), `source.${part.type}.url`);
  if (part.type === 'image_url') return { ...part, image_url: { ...part.image_url, url: url as Blob } };
  return { ...part, video_url: { ...part.video_url, url: url as Blob } };
}

/** Bitmaps of a portable request: they are given away with it. */
export function bitmapsOf(request: unknown): ImageBitmap[] {
  return bitmapsIn(mediaParts(request).map(({ part }) => part));
}

export function bitmapsIn(parts: readonly MediaPart[]): ImageBitmap[] {
  return parts.map(sourceOf).filter(isBitmap);
}

/** Pictures and videos of a request, whatever else may be wrong with it. */
function mediaParts(request: unknown): { part: MediaPart; param: string }[] {
  const { messages } = (request ?? {}) as Partial<ChatCompletionRequest>;
  if (!Array.isArray(messages)) return [];
  return messages.flatMap((message, i) =>
    Array.isArray(message?.content)
      ? (message.content as (ContentPart | null)[]).flatMap((part, j) =>
          isMediaPart(part) ? [{ part, param: `messages[${i}].content[${j}].${part.type}.url` }] : [],
        )
      : [],
  );
}

function isMediaPart(part: unknown): part is MediaPart {
  const { type, image_url, video_url } = (part ?? {}) as Record<string, unknown>;
  const held = type === 'image_url' ? image_url : type === 'video_url' ? video_url : undefined;
  return typeof held === 'object' && held !== null;
}

function sourceOf(part: MediaPart): unknown {
  return part.type === 'image_url' ? part.image_url.url : part.video_url.url;
}

function setSource(part: MediaPart, url: unknown): void {
  Object.assign(part.type === 'image_url' ? part.image_url : part.video_url, { url });
}

/** The request with empty addresses in its media parts, which are the same otherwise. */
function withoutSources<Request>(request: Request): Request {
  if (mediaParts(request).length === 0) return request;
  const { messages } = request as unknown as ChatCompletionRequest;
  const bare = (part: ContentPart) => {
    if (!isMediaPart(part)) return part;
    if (part.type === 'image_url') return { ...part, image_url: { ...part.image_url, url: '' } };
    return { ...part, video_url: { ...part.video_url, url: '' } };
  };
  return {
    ...request,
    messages: messages.map((message) =>
      Array.isArray(message?.content) ? { ...message, content: message.content.map(bare) } : message,
    ),
  };
}

function asPart(source: MediaSource): MediaPart {
  if (isMediaPart(source)) return source;
  const video = (source instanceof Blob && source.type.startsWith('video/')) || isA(source, 'HTMLVideoElement');
  if (video) return { type: 'video_url', video_url: { url: source as Blob } };
  return { type: 'image_url', image_url: { url: source as Blob } };
}

/** Elements and canvases as bitmaps or addresses; what is none of them is left for the check of requests to refuse. */
async function portableSource(source: unknown, param: string): Promise<unknown> {
  if (typeof source === 'string') return absoluteUrl(source);
  if (isA(source, 'HTMLVideoElement')) return videoAddress(source as HTMLVideoElement, param);
  const picture =
    isBitmap(source) ||
    isA(source, 'HTMLImageElement') ||
    isA(source, 'HTMLCanvasElement') ||
    isA(source, 'OffscreenCanvas');
  return picture ? copyPicture(source as HTMLImageElement | ImageBitmap, param) : cloneable(source);
}

/** Only pages have the classes of elements. */
function isA(value: unknown, name: string): boolean {
  const type = (globalThis as Record<string, unknown>)[name];
  return typeof type === 'function' && value instanceof type;
}

/** A bitmap of what the picture shows now; the picture itself stays the caller's. */
async function copyPicture(picture: HTMLImageElement | ImageBitmap, param: string): Promise<ImageBitmap> {
  let bitmap: ImageBitmap;
  try {
    if ('decode' in picture) await picture.decode();
    bitmap = await createImageBitmap(picture, {
      colorSpaceConversion: 'none',
      imageOrientation: 'from-image',
      premultiplyAlpha: 'none',
    });
  } catch (cause) {
    throw new QwenError(
      'bad-image',
      `${param} has no picture: the image was not loaded, the canvas is empty, or the bitmap was closed.`,
      { param, cause },
    );
  }
  if (readable(bitmap)) return bitmap;
  bitmap.close();
  throw new QwenError(
    'cors',
    `${param} shows a picture of another site, which this page may not read. Give the image crossorigin="anonymous" (its server must allow it), or attach the picture as a file.`,
    { param },
  );
}

/** Pictures of other sites can be shown, but neither read nor sent to a worker. */
function readable(bitmap: ImageBitmap): boolean {
  const context = new OffscreenCanvas(1, 1).getContext('2d');
  context?.drawImage(bitmap, 0, 0);
  try {
    context?.getImageData(0, 0, 1, 1);
    return true;
  } catch {
    return false; // SecurityError: the canvas is tainted
  }
}

function videoAddress(video: HTMLVideoElement, param: string): string {
  if (video.srcObject) {
    throw new QwenError(
      'bad-video',
      `${param} shows a live stream, which has no end. Record a part of it, and send that as a file.`,
      { param },
    );
  }
  const address = video.currentSrc || video.src;
  if (address === '') throw new QwenError('bad-video', `${param} is a video element without a source.`, { param });
  return address;
}

/** A copy that can cross a worker's border; what JSON cannot hold has no place in a request. */
function cloneable<Value>(value: Value): Value {
  try {
    return structuredClone(value);
  } catch (cause) {
    throw new QwenError('invalid-request', 'The request holds a function or another value that is no plain data.', {
      param: 'request',
      cause,
    });
  }
}

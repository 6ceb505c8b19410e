/**
 * What can be told of a file before any model sees it: whether it is a picture or a video that this browser reads, how
 * large it is, and a small picture of it.
 */
import { type Attachment, type MediaKind, nextAttachmentId } from './attachment.ts';
import { strings } from './strings.ts';

/** Bytes. Larger files are mistakes more often than pictures, and a tab has only so much memory. */
export const MAX_FILE_BYTES: Readonly<Record<MediaKind, number>> = { image: 50e6, video: 500e6 };

/** Pixels of the longer side of what is shown small, in a conversation on a fine screen. */
const PREVIEW_SIDE = 640;
/** How long a browser may take to show a frame of a video. */
const VIDEO_PATIENCE_MS = 15_000;

/** Why a file is not attached, in words for the reader. */
export class Refusal extends Error {}

const VIDEO_NAME = /\.(mp4|m4v|mov|webm|mkv|ogv|avi)$/i;
const IMAGE_NAME = /\.(png|jpe?g|jfif|webp|avif|gif|bmp|heic|heif|tiff?)$/i;

/** By type, and by name where the system knows no type for it. */
export function mediaKind({ type, name = '' }: { type: string; name?: string }): MediaKind | undefined {
  if (type.startsWith('image/') || (type === '' && IMAGE_NAME.test(name))) return 'image';
  if (type.startsWith('video/') || (type === '' && VIDEO_NAME.test(name))) return 'video';
  return undefined;
}

/** Says no before anything is read: @throws Refusal for other kinds of files, and for too large ones */
export function checkFile(file: File): MediaKind {
  const kind = mediaKind(file);
  if (!kind) throw new Refusal(strings.wrongType(file.name));
  if (file.size > MAX_FILE_BYTES[kind]) throw new Refusal(strings.tooLarge[kind](file.name, MAX_FILE_BYTES[kind]));
  if (file.size === 0) throw new Refusal(strings.emptyFile(file.name));
  return kind;
}

/** @throws Refusal when this browser cannot read the file */
export async function probeFile(file: File, kind: MediaKind): Promise<Attachment> {
  const facts = kind === 'image' ? await probeImage(file) : await probeVideo(file);
  return { id: nextAttachmentId(), kind, source: file, name: file.name, ...facts };
}

async function probeImage(file: File): Promise<Pick<Attachment, 'width' | 'height' | 'preview'>> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Refusal(strings.unreadable.image(file.name));
  }
  const { width, height } = bitmap;
  // A photo's pixels take 50 MB once decoded: only the large view is worth that.
  const small = Math.max(width, height) <= 2 * PREVIEW_SIDE;
  const preview = small ? file : await smallCopy(bitmap, width, height);
  bitmap.close();
  return { width, height, preview };
}

async function probeVideo(file: File): Promise<Pick<Attachment, 'width' | 'height' | 'seconds' | 'preview'>> {
  const video = document.createElement('video');
  video.muted = true;
  video.playsInline = true;
  video.preload = 'auto';
  const url = URL.createObjectURL(file);
  try {
    await happens(video, 'loadeddata', () => {
      video.src = url;
    });
    // Recordings of a browser do not tell their length: it comes with a look at the end.
    if (!Number.isFinite(video.duration)) {
      await happens(video, 'durationchange', () => {
        video.currentTime = Number.MAX_SAFE_INTEGER;
      });
    }
    const { videoWidth: width, videoHeight: height, duration } = video;
    if (width === 0 || height === 0) throw new Error('no picture');
    const seconds = Number.isFinite(duration) ? duration : undefined;
    // The very first frame is often black.
    await happens(video, 'seeked', () => {
      video.currentTime = Math.min(1, (seconds ?? 0) / 4);
    });
    return { width, height, seconds, preview: await smallCopy(video, width, height) };
  } catch {
    throw new Refusal(strings.unreadable.video(file.name));
  } finally {
    video.removeAttribute('src');
    video.load();
    URL.revokeObjectURL(url);
  }
}

/** Resolves when `type` comes after `action`; rejects when the element fails, or keeps silent for too long. */
function happens(video: HTMLVideoElement, type: string, action: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (end: () => void) => () => {
      clearTimeout(timer);
      video.removeEventListener(type, succeed);
      video.removeEventListener('error', fail);
      end();
    };
    const succeed = done(resolve);
    const fail = done(() => reject(video.error ?? new Error(`no ${type}`)));
    const timer = setTimeout(fail, VIDEO_PATIENCE_MS);
    video.addEventListener(type, succeed);
    video.addEventListener('error', fail);
    action();
  });
}

async function smallCopy(source: CanvasImageSource, width: number, height: number): Promise<Blob> {
  const scale = Math.min(1, PREVIEW_SIDE / Math.max(width, height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no canvas');
  context.imageSmoothingQuality = 'high';
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  // WebP keeps what is transparent; browsers that cannot write it write PNG.
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('no copy'))), 'image/webp', 0.85);
  });
}

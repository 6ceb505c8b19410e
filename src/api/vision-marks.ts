/** Where pictures and videos stand in a prompt. */
import { QwenError } from '../errors.ts';
import type { PreparedImage, PreparedVideo } from '../media/index.ts';

export type Media = PreparedImage | PreparedVideo;

/** What the template writes once for an image, and once for a video, between these marks. */
const IMAGE_PAD = '<|image_pad|>';
const VIDEO_PAD = '<|video_pad|>';
const VISION_START = '<|vision_start|>';
const VISION_END = '<|vision_end|>';

/** The tokens that stand for pictures; each is repeated once per token of its picture. */
export const PADS = [IMAGE_PAD, VIDEO_PAD] as const;

/** What the tower reads of it, in order: a picture, or a video's pairs of frames. */
export function picturesOf(media: Media): readonly PreparedImage[] {
  return 'pairs' in media ? media.pairs : [media];
}

/** What a prompt holds for it, with one pad for each picture. */
export function marksOf(media: Media): string {
  const block = (pad: string) => `${VISION_START}${pad}${VISION_END}`;
  return 'pairs' in media ? media.pairs.map(({ stamp }) => stamp + block(VIDEO_PAD)).join('') : block(IMAGE_PAD);
}

/**
 * Puts what marks each picture and video in the place of the one mark that the template wrote for it.
 * Source: qwen35.md §7, and the published processor.
 * @param prompt as rendered: what looks like a mark in what users wrote is none, and has a guard in it
 * @throws QwenError `unsupported-gguf` where the template writes no marks
 */
export function markMedia(prompt: string, media: readonly Media[], modelName: string): string {
  let next = 0;
  const own = `(?:${escaped(VISION_START)}(?:${escaped(IMAGE_PAD)}|${escaped(VIDEO_PAD)})${escaped(VISION_END)})`;
  const marked = prompt.replace(new RegExp(own, 'g'), (mark) => {
    const item = media[next++];
    return item ? marksOf(item) : mark;
  });
  if (next !== media.length) {
    throw new QwenError(
      'unsupported-gguf',
      `${modelName}: its chat template does not mark each picture with ${VISION_START}${IMAGE_PAD}${VISION_END} and each video with ${VIDEO_PAD}, so they cannot be placed.`,
    );
  }
  return marked;
}

function escaped(marker: string): string {
  return marker.replaceAll('|', '\\|');
}

/** The parts of a message that are more than text: checked, told to the template, and found again. */
import { type Check, checkFields, integer, invalid, isPresent, isRecord, only, shown } from './checks.ts';
import type { ChatCompletionRequest, ContentPart, ImagePart, VideoPart } from './types.ts';

/** A picture or video of a request, and the field that holds it. */
export interface RequestedMedia {
  readonly part: ImagePart | VideoPart;
  readonly param: string;
}

/** Pictures and videos of all messages, in order. */
export function requestedMedia(messages: ChatCompletionRequest['messages']): RequestedMedia[] {
  return messages.flatMap(({ content }, i) =>
    Array.isArray(content)
      ? content.flatMap((part, j) =>
          part.type === 'text' ? [] : [{ part, param: `messages[${i}].content[${j}].${part.type}.url` }],
        )
      : [],
  );
}

/** Parts as the template wants them: the picture itself is not its business. */
export function templateContent(parts: readonly ContentPart[]): string | { type: string; text?: string }[] {
  if (parts.every((part) => part.type === 'text')) return parts.map((part) => part.text).join('');
  return parts.map((part) => {
    if (part.type === 'text') return { type: 'text', text: part.text };
    return { type: part.type === 'image_url' ? 'image' : 'video' };
  });
}

export function checkContent(value: unknown, param: string): void {
  if (typeof value === 'string') return;
  if (!Array.isArray(value)) throw invalid(param, `${param} must be a string or a list of parts, not ${shown(value)}`);
  value.forEach((part, index) => {
    checkPart(part, `${param}[${index}]`);
  });
}

/** @throws QwenError `invalid-request` that names the field */
export function checkPart(part: unknown, at: string): asserts part is ContentPart {
  if (!isRecord(part)) throw invalid(at, `${at} must be an object with a type`);
  switch (part.type) {
    case 'text':
      if (typeof part.text !== 'string') throw invalid(`${at}.text`, `${at}.text must be a string`);
      return;
    case 'image_url':
      image(part.image_url, `${at}.image_url`);
      return;
    case 'video_url':
      video(part.video_url, `${at}.video_url`);
      return;
    default:
      throw invalid(
        at,
        `${at}: parts of type ${shown(part.type)} are not supported. This version reads text, image_url and video_url.`,
      );
  }
}

const image: Check = (value, param) => {
  checkFields(value, { url: imageUrl, detail: only(['auto', 'low', 'high'], 'Leave it out.') }, param);
  if (!isPresent(value.url)) throw invalid(`${param}.url`, `${param}.url is missing`);
};

const imageUrl: Check = (value, param) => {
  if (typeof value === 'string' || value instanceof Blob || isBitmap(value)) return;
  throw invalid(
    param,
    `${param} must be an address, a Blob or File, an ImageBitmap, an image or a canvas, not ${shown(value)}`,
  );
};

/** A temporal patch holds two frames, so there are that many at least. */
const FEWEST_FRAMES = 2;

const video: Check = (value, param) => {
  const fields = { url: videoUrl, fps: positive, max_frames: integer(FEWEST_FRAMES) };
  checkFields(value, fields, param);
  if (!isPresent(value.url)) throw invalid(`${param}.url`, `${param}.url is missing`);
};

const videoUrl: Check = (value, param) => {
  if (typeof value === 'string' || value instanceof Blob) return;
  throw invalid(param, `${param} must be an address, a Blob or File, or a video element, not ${shown(value)}`);
};

const positive: Check = (value, param) => {
  if (typeof value === 'number' && value > 0 && Number.isFinite(value)) return;
  throw invalid(param, `${param} must be a number above 0, not ${shown(value)}`);
};

export function isBitmap(value: unknown): value is ImageBitmap {
  return typeof ImageBitmap !== 'undefined' && value instanceof ImageBitmap;
}

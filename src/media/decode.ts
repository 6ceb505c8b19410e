import { QwenError } from '../errors.ts';
import type { Pixels } from './resize.ts';

/**
 * Pixels of a picture file, by the browser: PNG, JPEG, WebP, AVIF and what else it reads; of an animation the first frame.
 * Turned as EXIF says, over white where transparent, colours as the file's bytes have them.
 * @param name for messages
 * @throws QwenError `bad-image`
 */
export async function decodeImage(file: Blob, name: string): Promise<Pixels> {
  if (typeof createImageBitmap === 'undefined' || typeof OffscreenCanvas === 'undefined') {
    throw new QwenError('bad-image', `There is no decoder for images here, only in browsers. ${name} was not read.`, {
      file: name,
    });
  }
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: 'none', imageOrientation: 'from-image' });
  } catch (cause) {
    throw new QwenError(
      'bad-image',
      `${name} cannot be decoded as an image (${file.size} bytes, ${file.type || 'of no stated type'}). It is damaged, or of a kind that this browser does not read: send a PNG, JPEG or WebP.`,
      { file: name, cause },
    );
  }
  try {
    return readBitmap(bitmap, name);
  } finally {
    bitmap.close();
  }
}

/**
 * Pixels of a bitmap, over white where it is transparent.
 * @throws QwenError `bad-image`
 */
export function readBitmap(bitmap: ImageBitmap, name: string): Pixels {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (context === null) {
    throw new QwenError('bad-image', `${name} has ${width} × ${height} pixels, too many for this browser. Shrink it.`, {
      file: name,
    });
  }
  context.fillStyle = '#fff';
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, rgba: new Uint8Array(data.buffer) };
}

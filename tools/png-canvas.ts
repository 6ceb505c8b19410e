/**
 * What the library asks of a browser to read a picture, for PNG alone: `createImageBitmap`, and an `OffscreenCanvas` that
 * can be drawn on once. Node has neither.
 */
import { readPng, type TestPicture } from './testing/png.ts';

export function providePngDecoder(): void {
  Object.assign(globalThis, { createImageBitmap: decode, OffscreenCanvas: Canvas });
}

interface Bitmap extends TestPicture {
  close(): void;
}

async function decode(file: Blob): Promise<Bitmap> {
  const signature = new Uint8Array(await file.slice(1, 4).arrayBuffer());
  if (String.fromCharCode(...signature) !== 'PNG') throw new Error('This server reads PNG alone.');
  return { ...(await readPng(file)), close: () => {} };
}

class Canvas {
  #rgba: Uint8ClampedArray<ArrayBuffer>;

  constructor(width: number, height: number) {
    this.#rgba = new Uint8ClampedArray(width * height * 4);
  }

  getContext() {
    return {
      fillRect: () => this.#rgba.fill(255), // white is the only colour that is asked for
      drawImage: ({ rgba }: Bitmap) => this.#draw(rgba),
      getImageData: () => ({ data: this.#rgba }),
    };
  }

  #draw(rgba: Uint8Array): void {
    for (let at = 0; at < rgba.length; at += 4) {
      const alpha = rgba[at + 3] / 255;
      for (let c = 0; c < 3; c++) this.#rgba[at + c] = rgba[at + c] * alpha + this.#rgba[at + c] * (1 - alpha);
    }
  }
}

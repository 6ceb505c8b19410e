/** Picture files to the pixels that the model sees. Knows no GPU. */
import type { VisionLimits } from '../engine/types.ts';
import { decodeImage } from './decode.ts';
import { fetchImage, imageName } from './fetch-image.ts';
import { resize } from './resize.ts';
import { type Size, targetSize } from './target-size.ts';

export { type Size, targetSize } from './target-size.ts';

export interface PreparedImage extends Size {
  /** SHA-256 of the file, and the size. */
  readonly key: string;
  /** Merged squares: tokens in the prompt. */
  readonly tokens: number;
  pixels(): Promise<Uint8Array<ArrayBuffer>>;
}

/** Finds a picture's size and content, and decodes it once more only if its embeddings are not known. */
export class ImageLoader {
  /** Sizes of pictures decoded before, by content. */
  readonly #sizes = new Map<string, Size>();

  async prepare(url: string | Blob, param: string, limits: VisionLimits, signal?: AbortSignal): Promise<PreparedImage> {
    const file = await fetchImage(url, param, signal);
    const name = imageName(url);
    const hash = await sha256(file);
    let size = this.#sizes.get(hash);
    let decoded: ReturnType<typeof decodeImage> | undefined;
    if (!size) {
      decoded = decodeImage(file, name);
      const { width, height } = await decoded;
      size = { width, height };
      this.#sizes.set(hash, size);
    }
    const target = targetSize(size, limits);
    return {
      ...target,
      key: `${hash} ${target.width}x${target.height}`,
      tokens: (target.width * target.height) / limits.factor ** 2,
      pixels: async () => resize(await (decoded ?? decodeImage(file, name)), target).rgba,
    };
  }
}

async function sha256(file: Blob): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await file.arrayBuffer()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

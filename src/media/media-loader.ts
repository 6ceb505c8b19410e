import type { PicturePixels, VisionLimits } from '../engine/types.ts';
import { throwIfAborted } from '../errors.ts';
import { decodeImage, readBitmap } from './decode.ts';
import { fetchImage, mediaName } from './fetch-media.ts';
import { sha256 } from './hash.ts';
import { type Pixels, resize } from './resize.ts';
import { type Size, targetSize } from './target-size.ts';
import { type FramePair, planVideo, type VideoOptions } from './video-plan.ts';
import type { VideoSupply } from './video-supply.ts';

export type { VideoOptions } from './video-plan.ts';

export interface PreparedImage extends Size {
  /** SHA-256 of the file or the pixels, and the size. */
  readonly key: string;
  /** Merged squares: tokens in the prompt. */
  readonly tokens: number;
  pixels(signal?: AbortSignal): Promise<PicturePixels>;
}

export interface PreparedVideo extends Size {
  readonly seconds: number;
  readonly frames: number;
  /** Each is read as a picture, after its time. */
  readonly pairs: readonly (PreparedImage & { readonly stamp: string })[];
}

/** Finds the size and content of pictures and videos, and decodes them once more only if their embeddings are not known. */
export class MediaLoader {
  /** Sizes of pictures decoded before, by content. */
  readonly #sizes = new Map<string, Size>();

  async image(
    source: string | Blob | ImageBitmap,
    param: string,
    limits: VisionLimits,
    signal?: AbortSignal,
  ): Promise<PreparedImage> {
    if (typeof source === 'string' || source instanceof Blob) {
      const file = await fetchImage(source, param, signal);
      const name = mediaName(source, 'image');
      return this.#prepare(await sha256(file), () => decodeImage(file, name), limits);
    }
    const pixels = readBitmap(source, 'The image');
    const { width, height, rgba } = pixels;
    return this.#prepare(`${await sha256(new Blob([rgba]))} ${width}x${height}`, async () => pixels, limits);
  }

  async video(
    source: string | Blob,
    param: string,
    options: VideoOptions,
    limits: VisionLimits,
    supply: VideoSupply,
  ): Promise<PreparedVideo> {
    const facts = await supply.open(source, param);
    const { size, frames, pairs } = planVideo(facts, options, limits);
    const tokens = (size.width * size.height) / limits.factor ** 2;
    const frame = async (seconds: number, signal?: AbortSignal) => {
      throwIfAborted(signal);
      const bitmap = await supply.frame(facts.hash, seconds);
      try {
        return resize(readBitmap(bitmap, 'The video'), size).rgba;
      } finally {
        bitmap.close();
      }
    };
    const prepared = (pair: FramePair) => ({
      ...size,
      key: `${facts.hash} ${size.width}x${size.height} ${pair.first} ${pair.second}`,
      tokens,
      stamp: pair.stamp,
      pixels: async (signal?: AbortSignal): Promise<PicturePixels> => {
        const rgba = await frame(pair.first, signal);
        return pair.first === pair.second ? { rgba } : { rgba, second: await frame(pair.second, signal) };
      },
    });
    return { ...size, seconds: facts.seconds, frames, pairs: pairs.map(prepared) };
  }

  async #prepare(hash: string, decode: () => Promise<Pixels>, limits: VisionLimits): Promise<PreparedImage> {
    let size = this.#sizes.get(hash);
    let decoded: Promise<Pixels> | undefined;
    if (!size) {
      decoded = decode();
      const { width, height } = await decoded;
      size = { width, height };
      this.#sizes.set(hash, size);
    }
    const target = targetSize(size, limits);
    return {
      ...target,
      key: `${hash} ${target.width}x${target.height}`,
      tokens: (target.width * target.height) / limits.factor ** 2,
      pixels: async () => ({ rgba: resize(await (decoded ?? decode()), target).rgba }),
    };
  }
}

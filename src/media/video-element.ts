/**
 * Frames of a video file, by a video element that is not on the page. Pages have no demuxer, and WebCodecs brings none, so
 * the element's own seeking finds the frames: every format that the browser plays, at any time, one decoded at a time.
 * (Tried in Chromium 2026-11: seeking is exact, and the frame can be drawn when `seeked` has come, in hidden pages, too.)
 */
import { abortable, QwenError } from '../errors.ts';
import { fetchVideo, type OnBytes } from './fetch-video.ts';
import { sha256 } from './hash.ts';
import type { VideoFacts, VideoSupply } from './video-supply.ts';

/** A decoder that says nothing for so long will not say anything more. */
const PATIENCE_MS = 30_000;

/** Where the file does not tell how long a frame lasts. */
const USUAL_FRAME_SECONDS = 1 / 30;
const SHORTEST_FRAME_SECONDS = 1 / 240;
const LONGEST_FRAME_SECONDS = 1;

/** Beyond the end of any video: seeking there lets the browser find out where the end is. */
const BEYOND = 1e10;

/** Serves the videos of one request; keeps one element at a time. */
export class PageVideos implements VideoSupply {
  readonly #files = new Map<string, { file: Blob; name: string }>();
  readonly #closing = new AbortController();
  readonly #signal: AbortSignal;
  #open?: { hash: string; reader: Promise<VideoReader> };

  /** @param known facts about videos that were open before, by hash; added to here */
  constructor(
    private readonly known: Map<string, VideoFacts>,
    private readonly onBytes?: OnBytes,
    signal?: AbortSignal,
  ) {
    this.#signal = signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal;
  }

  async open(source: string | Blob, param: string): Promise<VideoFacts> {
    const { file, name } = await fetchVideo(source, param, { onBytes: this.onBytes, signal: this.#signal });
    const hash = await sha256(file, this.#signal);
    this.#files.set(hash, { file, name });
    let facts = this.known.get(hash);
    if (!facts) {
      const reader = await this.#reader(hash);
      facts = { ...(await reader.measure()), hash };
      this.known.set(hash, facts);
    }
    return facts;
  }

  async frame(hash: string, seconds: number): Promise<ImageBitmap> {
    const facts = this.known.get(hash);
    if (!facts) throw new Error('a frame was asked for of a video that is not open');
    const reader = await this.#reader(hash);
    // The middle of the frame, so that rounding cannot give its neighbour.
    return reader.frame(Math.min(seconds + facts.frameSeconds / 2, facts.seconds));
  }

  /** Ends what is under way, and lets the decoder go. */
  close(): void {
    this.#closing.abort();
    this.#open?.reader.then((reader) => reader.close()).catch(() => {}); // its failure was told to who opened it
    this.#open = undefined;
    this.#files.clear();
  }

  #reader(hash: string): Promise<VideoReader> {
    if (this.#open?.hash !== hash) {
      const { file, name } = this.#files.get(hash)!;
      this.#open?.reader.then((reader) => reader.close()).catch(() => {});
      this.#open = { hash, reader: VideoReader.open(file, name, this.#signal) };
    }
    return this.#open.reader;
  }
}

class VideoReader {
  readonly #video = document.createElement('video');
  readonly #url: string;

  private constructor(
    file: Blob,
    private readonly name: string,
    private readonly signal?: AbortSignal,
  ) {
    this.#url = URL.createObjectURL(file);
    this.#video.muted = true;
    this.#video.playsInline = true;
    this.#video.preload = 'auto';
    this.#video.src = this.#url;
  }

  /** @throws QwenError `bad-video`; the signal's reason on abort */
  static async open(file: Blob, name: string, signal?: AbortSignal): Promise<VideoReader> {
    const reader = new VideoReader(file, name, signal);
    try {
      await reader.#until('loadeddata');
      if (reader.#video.videoWidth === 0) throw reader.#bad('has no pictures, only sound');
      return reader;
    } catch (error) {
      reader.close();
      throw error;
    }
  }

  async measure(): Promise<Omit<VideoFacts, 'hash'>> {
    const video = this.#video;
    // Recordings of a page (MediaRecorder) do not say how long they are.
    if (!Number.isFinite(video.duration)) await this.#seek(BEYOND);
    const seconds = video.duration;
    if (!Number.isFinite(seconds)) throw this.#bad('has no end. Send a part of it as a file');
    if (!(seconds > 0)) throw this.#bad('is 0 seconds long');
    const shown = this.#nextFrameTime();
    await this.#seek(seconds);
    const last = await shown();
    const measured = last === undefined ? USUAL_FRAME_SECONDS : seconds - last;
    const plausible = measured >= SHORTEST_FRAME_SECONDS && measured <= LONGEST_FRAME_SECONDS;
    return {
      width: video.videoWidth,
      height: video.videoHeight,
      seconds,
      frameSeconds: plausible ? measured : Math.min(USUAL_FRAME_SECONDS, seconds),
    };
  }

  async frame(seconds: number): Promise<ImageBitmap> {
    await this.#seek(seconds);
    return createImageBitmap(this.#video, { premultiplyAlpha: 'none' });
  }

  close(): void {
    this.#video.removeAttribute('src');
    this.#video.load(); // lets the decoder go
    URL.revokeObjectURL(this.#url);
  }

  async #seek(seconds: number): Promise<void> {
    const done = this.#until('seeked');
    this.#video.currentTime = seconds;
    await done;
  }

  /** Begins to look for the time of the frame that is shown next. Hidden pages show none, and do not say so. */
  #nextFrameTime(): () => Promise<number | undefined> {
    const video = this.#video;
    if (!('requestVideoFrameCallback' in video)) return async () => undefined;
    let handle = 0;
    const time = new Promise<number>((resolve) => {
      handle = video.requestVideoFrameCallback((_now, { mediaTime }) => resolve(mediaTime));
    });
    return async () => {
      const none = new Promise<undefined>((resolve) => setTimeout(resolve, 250, undefined));
      const seconds = await Promise.race([time, none]);
      video.cancelVideoFrameCallback(handle);
      return seconds;
    };
  }

  #until(event: 'loadeddata' | 'seeked'): Promise<void> {
    const video = this.#video;
    const listening = new AbortController();
    const { signal } = listening;
    const happened = new Promise<void>((resolve, reject) => {
      video.addEventListener(event, () => resolve(), { signal });
      video.addEventListener('error', () => reject(this.#bad(describe(video.error))), { signal });
      const timer = setTimeout(() => reject(this.#bad('could not be decoded in time')), PATIENCE_MS);
      signal.addEventListener('abort', () => clearTimeout(timer));
    });
    return abortable(happened, this.signal).finally(() => listening.abort());
  }

  #bad(what: string): QwenError {
    return new QwenError('bad-video', `${this.name} ${what}.`, { file: this.name });
  }
}

function describe(error: MediaError | null): string {
  const detail = error?.message ? ` (${error.message})` : '';
  return `cannot be decoded as a video${detail}. It is damaged, or of a kind that this browser does not play: send a WebM, or an MP4 with H.264`;
}

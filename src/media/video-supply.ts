/** What a video's frames come from: pages have video elements, workers have not. */
import { QwenError } from '../errors.ts';

/** What is known of a video before its frames are read. */
export interface VideoFacts {
  readonly width: number;
  readonly height: number;
  readonly seconds: number;
  /** From one frame to the next. */
  readonly frameSeconds: number;
  /** SHA-256 of its file. */
  readonly hash: string;
}

/** Frames are asked for one at a time, and none is made before it is asked for: memory stays bounded. */
export interface VideoSupply {
  /**
   * @param source address or file
   * @param param the request's field, for messages
   * @throws QwenError `bad-video`, and what a fetch throws
   */
  open(source: string | Blob, param: string): Promise<VideoFacts>;
  /** The frame shown at this time of the video with this hash; the caller's to close. */
  frame(hash: string, seconds: number): Promise<ImageBitmap>;
}

/** Where there is no page, and so nothing that plays videos. */
export const NO_VIDEOS: VideoSupply = {
  open: () => Promise.reject(noVideos()),
  frame: () => Promise.reject(noVideos()),
};

function noVideos(): QwenError {
  return new QwenError(
    'bad-video',
    'There is no decoder for videos here, only on pages. Send pictures of the video as image_url parts instead.',
  );
}

/** Which frames of a video the model sees, at what size, and what the prompt says of their times. */
import type { VisionLimits } from '../engine/types.ts';
import { QwenError } from '../errors.ts';
import { MAX_ASPECT, roundHalfEven, type Size } from './target-size.ts';
import type { VideoFacts } from './video-supply.ts';

/** Of the published video processor: frames, and pixels of all frames together. */
const FPS = 2;
const MIN_FRAMES = 4;
const MAX_FRAMES = 768;
const MIN_PIXELS = 4096;
const MAX_PIXELS = 25_165_824;
/** Tokens of one pair at most: without a bound of its own, a short video would spend all the pixels on few frames. */
const MAX_PAIR_TOKENS = 768;
/** Relative; 29.97 is a rate of its own. */
const WHOLE_RATE_SLACK = 5e-4;
/** Frames that one patch covers. */
const FRAMES_PER_PATCH = 2;

export interface VideoOptions {
  readonly fps?: number;
  readonly maxFrames?: number;
}

/** Two frames that the tower reads as one picture. */
export interface FramePair {
  /** Seconds from the video's beginning. */
  readonly first: number;
  readonly second: number;
  /** What the prompt says before it. */
  readonly stamp: string;
}

export interface VideoPlan {
  readonly size: Size;
  readonly frames: number;
  readonly pairs: readonly FramePair[];
}

/**
 * Frames are spread evenly from the first to the last; an odd one is its own pair.
 * Source: qwen35.md §7, and the published processor's sampling and sizes, with its bound on pixels a frame.
 * @throws QwenError `bad-video` for strips
 */
export function planVideo(facts: VideoFacts, options: VideoOptions, limits: VisionLimits): VideoPlan {
  const times = frameTimes(facts, options);
  const pairs: FramePair[] = [];
  for (let i = 0; i < times.length; i += FRAMES_PER_PATCH) {
    const [first, second = first] = times.slice(i, i + FRAMES_PER_PATCH);
    pairs.push({ first, second, stamp: `<${tenths((first + second) / 2)} seconds>` });
  }
  return { size: frameSize(facts, times.length, limits), frames: times.length, pairs };
}

function frameTimes(
  { seconds, frameSeconds }: VideoFacts,
  { fps = FPS, maxFrames = MAX_FRAMES }: VideoOptions,
): number[] {
  const rate = frameRate(frameSeconds);
  const all = Math.max(1, Math.round(seconds * rate));
  const wanted = Math.max(Math.floor((all / rate) * fps), MIN_FRAMES);
  const count = Math.min(wanted, maxFrames, MAX_FRAMES, all);
  return Array.from({ length: count }, (_, i) => {
    const index = count === 1 ? 0 : roundHalfEven((i * (all - 1)) / (count - 1));
    return index / rate;
  });
}

/** Files hold times in milli- or microseconds, so a rate comes out as 29.9997: near a whole one, that is meant. */
function frameRate(frameSeconds: number): number {
  const rate = 1 / frameSeconds;
  const whole = Math.round(rate);
  return Math.abs(rate - whole) < WHOLE_RATE_SLACK * rate ? whole : rate;
}

/** As `targetSize`, with the bounds on the pixels of all frames. */
function frameSize(facts: VideoFacts, frames: number, { factor, maxPixels }: VisionLimits): Size {
  const enlarge = Math.max(1, factor / facts.width, factor / facts.height);
  const width = Math.floor(facts.width * enlarge);
  const height = Math.floor(facts.height * enlarge);
  if (Math.max(width, height) / Math.min(width, height) > MAX_ASPECT) {
    throw new QwenError(
      'bad-video',
      `The video has ${facts.width} × ${facts.height} pixels; one side may be at most ${MAX_ASPECT} times the other. Cut it.`,
    );
  }
  const fewest = Math.floor(MIN_PIXELS * 1.05);
  const perFrame = Math.max(Math.min(MAX_PAIR_TOKENS * factor ** 2, Math.floor(MAX_PIXELS / frames)), fewest);
  const most = Math.min(perFrame, maxPixels) * frames;
  const sides = (round: (units: number) => number, scale: number): Size => ({
    width: Math.max(1, round((width * scale) / factor)) * factor,
    height: Math.max(1, round((height * scale) / factor)) * factor,
  });
  const nearest = sides(roundHalfEven, 1);
  const evenFrames = FRAMES_PER_PATCH * Math.max(1, roundHalfEven(frames / FRAMES_PER_PATCH));
  const pixels = evenFrames * nearest.width * nearest.height;
  if (pixels > most) return sides(Math.floor, Math.sqrt(most / (frames * width * height)));
  if (pixels < MIN_PIXELS) return sides(Math.ceil, Math.sqrt(MIN_PIXELS / (frames * width * height)));
  return nearest;
}

/** With one decimal; halves go to the even digit, as in the reference, where JavaScript takes the larger. */
function tenths(seconds: number): string {
  // Of all halves of a tenth, binary fractions hold quarters alone.
  const half = (seconds * 4) % 2 === 1;
  return half ? (roundHalfEven(seconds * 10) / 10).toFixed(1) : seconds.toFixed(1);
}

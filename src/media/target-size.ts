import type { VisionLimits } from '../engine/types.ts';
import { QwenError } from '../errors.ts';

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Most of the longer side over the shorter. */
export const MAX_ASPECT = 200;

/**
 * The size at which the model sees a picture: sides are multiples of `factor`, as near to the picture's as the bounds on
 * pixels allow. Source: qwen35.md §7.
 * @throws QwenError `bad-image` for strips
 */
export function targetSize({ width, height }: Size, { factor, minPixels, maxPixels }: VisionLimits): Size {
  if (Math.max(width, height) / Math.min(width, height) > MAX_ASPECT) {
    throw new QwenError(
      'bad-image',
      `The image has ${width} × ${height} pixels; one side may be at most ${MAX_ASPECT} times the other. Cut it.`,
    );
  }
  const sides = (round: (units: number) => number, scale: number): Size => ({
    width: Math.max(1, round((width * scale) / factor)) * factor,
    height: Math.max(1, round((height * scale) / factor)) * factor,
  });
  const nearest = sides(roundHalfEven, 1);
  const pixels = nearest.width * nearest.height;
  if (pixels > maxPixels) return sides(Math.floor, Math.sqrt(maxPixels / (width * height)));
  if (pixels < minPixels) return sides(Math.ceil, Math.sqrt(minPixels / (width * height)));
  return nearest;
}

/** As Python rounds, which the reference is written in. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor === 0.5) return floor + (floor % 2);
  return Math.round(x);
}

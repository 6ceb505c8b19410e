import { describe, expect, test } from 'vitest';
import type { PreparedImage, PreparedVideo } from '../media/index.ts';
import { markMedia, marksOf, picturesOf } from './vision-marks.ts';

const image: PreparedImage = { width: 64, height: 64, key: 'image', tokens: 4, pixels: () => Promise.reject() };
const video: PreparedVideo = {
  width: 64,
  height: 64,
  seconds: 2,
  frames: 4,
  pairs: [
    { ...image, key: 'first', stamp: '<0.2 seconds>' },
    { ...image, key: 'second', stamp: '<1.2 seconds>' },
  ],
};
const IMAGE = '<|vision_start|><|image_pad|><|vision_end|>';
const VIDEO = '<|vision_start|><|video_pad|><|vision_end|>';

describe('markMedia', () => {
  test('puts a video’s pairs after their times, and leaves pictures as they are', () => {
    const prompt = `user\n${VIDEO}What?${IMAGE}And ${VIDEO}?`;
    expect(markMedia(prompt, [video, image, video], 'model')).toBe(
      `user\n<0.2 seconds>${VIDEO}<1.2 seconds>${VIDEO}What?${IMAGE}And <0.2 seconds>${VIDEO}<1.2 seconds>${VIDEO}?`,
    );
  });

  test('does not take what a user typed for a mark', () => {
    const typed = VIDEO.replaceAll('<|', '<\ue000|'); // as the template guards it
    expect(markMedia(`${typed}${IMAGE}`, [image], 'model')).toBe(`${typed}${IMAGE}`);
  });

  test.each([
    ['no marks', 'user\nWhat?'],
    ['too few', IMAGE],
    ['too many', IMAGE + IMAGE + IMAGE],
  ])('refuses a template that writes %s', (_, prompt) => {
    expect(() => markMedia(prompt, [image, image], 'model')).toThrow(
      expect.objectContaining({ code: 'unsupported-gguf' }),
    );
  });

  test('tells what the tower reads, in the order of the marks', () => {
    expect([image, video].flatMap(picturesOf).map(({ key }) => key)).toEqual(['image', 'first', 'second']);
    expect(marksOf(video).split('<|video_pad|>')).toHaveLength(3);
  });
});

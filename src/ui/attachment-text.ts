/** What is said of an attachment. */
import { formatClockTime } from './format.ts';
import { strings } from './strings.ts';

/** `1024 × 768 · 0:12 · 24 frames · 768 tokens`, as far as known. */
export function mediaFacts({
  width,
  height,
  seconds,
  frames,
  tokens,
}: {
  width?: number;
  height?: number;
  seconds?: number;
  frames?: number;
  tokens?: number;
}): string {
  const facts: string[] = [];
  if (width && height) facts.push(`${width} × ${height}`);
  if (seconds !== undefined) facts.push(formatClockTime(seconds));
  if (frames !== undefined && frames > 1) facts.push(strings.frames(frames));
  if (tokens !== undefined) facts.push(strings.tokens(tokens));
  return facts.join(' · ');
}

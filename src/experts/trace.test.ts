import { expect, test } from 'vitest';
import { createPolicy } from './policy.ts';
import { ExpertTrace, recording, TraceRecorder } from './trace.ts';

const shape = { layers: 2, experts: 300, chosen: 3 };

test('a recorded trace survives as bytes', () => {
  const recorder = new TraceRecorder(shape);
  for (let token = 0; token < 100; token++) {
    recorder.record(0, [token, 299, 7], token);
    recorder.record(1, [token + 1, 5], token);
  }
  // A second conversation begins at position 0 again.
  recorder.record(0, [1, 2, 3], 0);
  const trace = ExpertTrace.fromBytes(recorder.finish().toBytes());
  expect(trace.tokens).toBe(101);
  expect(trace.shape).toEqual(shape);
  expect(trace.at(99, 0)).toEqual([99, 299, 7]);
  expect(trace.at(99, 1)).toEqual([100, 5]);
  expect(trace.at(100, 0)).toEqual([1, 2, 3]);
  expect(trace.at(100, 1)).toEqual([]);
});

test('what does not fit is refused', () => {
  const recorder = new TraceRecorder(shape);
  expect(() => recorder.record(2, [1], 0)).toThrow(RangeError);
  expect(() => recorder.record(0, [1, 2, 3, 4], 0)).toThrow(RangeError);
});

test('other bytes are refused', () => {
  const recorder = new TraceRecorder(shape);
  recorder.record(0, [1, 2, 3], 0);
  const bytes = recorder.finish().toBytes();
  expect(() => ExpertTrace.fromBytes(bytes.subarray(0, 10))).toThrow(/at least 20 bytes/);
  expect(() => ExpertTrace.fromBytes(bytes.subarray(0, bytes.length - 2))).toThrow(/announces 1 tokens/);
  const other = bytes.slice();
  other[0] ^= 1;
  expect(() => ExpertTrace.fromBytes(other)).toThrow(/no expert trace/);
  const beyond = bytes.slice();
  new DataView(beyond.buffer).setUint16(20, 300, true);
  expect(() => ExpertTrace.fromBytes(beyond)).toThrow(/beyond its 300/);
});

test('a policy can be listened to', () => {
  const recorder = new TraceRecorder(shape);
  const policy = recording(createPolicy('lru', shape), recorder);
  expect(policy.initial(0, 2)).toEqual([0, 1]);
  for (const expert of [0, 1]) policy.admitted(0, expert);
  policy.touch(0, [1, 2, 3], 7);
  policy.touch(0, [1, 2, 3, 4, 5], 8); // of several tokens
  expect(policy.victim(0, new Set())).toBe(0);
  expect(recorder.finish().tokens).toBe(1);
});

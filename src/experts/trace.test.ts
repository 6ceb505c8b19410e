import { expect, test } from 'vitest';
import { ExpertTrace, TraceRecorder } from './trace.ts';

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

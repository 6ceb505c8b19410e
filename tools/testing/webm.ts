/** Short videos, made in the test. For tests in a browser. */

export interface Clip {
  readonly width: number;
  readonly height: number;
  /** CSS colours, each of them one frame. */
  readonly colours: readonly string[];
  readonly fps: number;
  /** Rows of this height from the top are black in every frame. */
  readonly blackRows?: number;
}

/** A WebM (VP8) with exactly these frames, at exactly these times. */
export async function makeWebm(clip: Clip): Promise<Blob> {
  const { width, height, colours, fps } = clip;
  const blocks: Uint8Array<ArrayBuffer>[] = [];
  let failure: unknown;
  const encoder = new VideoEncoder({
    output: (chunk) => {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      blocks.push(simpleBlock(chunk.timestamp / 1000, chunk.type === 'key', data));
    },
    error: (error) => {
      failure = error;
    },
  });
  encoder.configure({ codec: 'vp8', width, height, bitrate: 8e6 });
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d')!;
  for (const [i, colour] of colours.entries()) {
    context.fillStyle = colour;
    context.fillRect(0, 0, width, height);
    context.fillStyle = 'black';
    context.fillRect(0, 0, width, clip.blackRows ?? 0);
    const frame = new VideoFrame(canvas, { timestamp: (i * 1e6) / fps });
    encoder.encode(frame, { keyFrame: i % 4 === 0 });
    frame.close();
  }
  await encoder.flush();
  encoder.close();
  if (failure) throw failure;
  return new Blob([file(clip, blocks)], { type: 'video/webm' });
}

/** A WebM as a page records it (MediaRecorder): in real time, so a busy machine drops frames. */
export async function recordWebm({ width, height, colours, fps }: Clip): Promise<Blob> {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d')!;
  const stream = canvas.captureStream();
  const recorder = new MediaRecorder(stream, { mimeType: 'video/webm;codecs=vp8' });
  const pieces: Blob[] = [];
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  const stopped = new Promise((resolve) => {
    recorder.onstop = resolve;
  });
  const start = performance.now();
  recorder.start();
  for (;;) {
    const at = Math.floor(((performance.now() - start) * fps) / 1000);
    if (at >= colours.length) break;
    context.fillStyle = colours[at];
    context.fillRect(0, 0, width, height); // a canvas gives a frame to its stream only when it is drawn to
    await new Promise(requestAnimationFrame);
  }
  recorder.stop();
  await stopped;
  for (const track of stream.getTracks()) track.stop();
  return new Blob(pieces, { type: 'video/webm' });
}

/** Matroska's elements, as far as one VP8 track needs them. Source: RFC 9559. */
function file({ width, height, colours, fps }: Clip, blocks: Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const ascii = (text: string) => new TextEncoder().encode(text);
  const header = element(0x1a45dfa3, [
    element(0x4286, uint(1)),
    element(0x42f7, uint(1)),
    element(0x42f2, uint(4)),
    element(0x42f3, uint(8)),
    element(0x4282, ascii('webm')),
    element(0x4287, uint(2)),
    element(0x4285, uint(2)),
  ]);
  const info = element(0x1549a966, [
    element(0x2ad7b1, uint(1_000_000)), // times in milliseconds
    element(0x4489, float((colours.length * 1000) / fps)),
    element(0x4d80, ascii('test')),
    element(0x5741, ascii('test')),
  ]);
  const video = element(0xe0, [element(0xb0, uint(width)), element(0xba, uint(height))]);
  const track = element(0xae, [
    element(0xd7, uint(1)),
    element(0x73c5, uint(1)),
    element(0x83, uint(1)),
    element(0x86, ascii('V_VP8')),
    video,
  ]);
  const cluster = element(0x1f43b675, [element(0xe7, uint(0)), ...blocks]);
  return join([header, element(0x18538067, [info, element(0x1654ae6b, track), cluster])]);
}

function simpleBlock(ms: number, key: boolean, data: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const at = Math.round(ms);
  return element(0xa3, [Uint8Array.of(0x81, at >> 8, at & 255, key ? 0x80 : 0), data]);
}

function element(id: number, content: Uint8Array | Uint8Array[]): Uint8Array<ArrayBuffer> {
  const body = Array.isArray(content) ? join(content) : content;
  const size = new DataView(new ArrayBuffer(8));
  size.setUint32(4, body.byteLength);
  size.setUint8(0, 0x01); // a size of eight bytes
  return join([uint(id), new Uint8Array(size.buffer), body]);
}

function uint(value: number): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (let rest = value; bytes.length === 0 || rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Uint8Array.from(bytes);
}

function float(value: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return new Uint8Array(view.buffer);
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

/** Pixels of a PNG as its bytes say, without what a browser may do to colours: 8-bit RGB or RGBA, not interlaced. */
export interface TestPicture {
  width: number;
  height: number;
  rgba: Uint8Array<ArrayBuffer>;
}

export async function readPng(file: Blob): Promise<TestPicture> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const view = new DataView(bytes.buffer);
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  const [depth, colour, , , interlace] = bytes.subarray(24, 29);
  const channels = { 2: 3, 6: 4 }[colour];
  if (depth !== 8 || channels === undefined || interlace !== 0) throw new Error('not an 8-bit RGB or RGBA PNG');
  const data: Blob[] = [];
  for (let at = 8; at < bytes.length; ) {
    const length = view.getUint32(at);
    if (String.fromCharCode(...bytes.subarray(at + 4, at + 8)) === 'IDAT') {
      data.push(new Blob([bytes.subarray(at + 8, at + 8 + length)]));
    }
    at += length + 12;
  }
  const stream = new Blob(data).stream().pipeThrough(new DecompressionStream('deflate'));
  const lines = new Uint8Array(await new Response(stream).arrayBuffer());
  const pitch = width * channels;
  const rgba = new Uint8Array(width * height * 4).fill(255);
  let above = new Uint8Array(pitch);
  for (let y = 0; y < height; y++) {
    const line = lines.subarray(y * (pitch + 1) + 1, (y + 1) * (pitch + 1));
    unfilter(lines[y * (pitch + 1)], line, above, channels);
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) rgba[(y * width + x) * 4 + c] = line[x * channels + c];
    }
    above = line;
  }
  return { width, height, rgba };
}

function unfilter(kind: number, line: Uint8Array, above: Uint8Array, channels: number): void {
  for (let i = 0; i < line.length; i++) {
    const left = i < channels ? 0 : line[i - channels];
    const corner = i < channels ? 0 : above[i - channels];
    line[i] += [0, left, above[i], (left + above[i]) >> 1, paeth(left, above[i], corner)][kind];
  }
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const [a, b, c] = [left, up, corner].map((value) => Math.abs(guess - value));
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

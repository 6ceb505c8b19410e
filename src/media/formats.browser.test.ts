import { describe, expect, test } from 'vitest';
import { decodeImage, readBitmap } from './decode.ts';

/** 48 × 32 pixels, made with Pillow: an animation from red to blue, and stills whose left half is red, the right azure. */
const FILES = {
  'image/gif':
    'R0lGODlhMAAgAIEAAP8AAAAAAAAAAAAAACH5BAAKAAAALAAAAAAwACAAAAhBAAEIHEiwoMGDCBMqXMiwocOHECNKnEixosWLGDNq3Mixo8ePIEOKHEmypMmTKFOqXMmypcuXMGPKnEmzps2ZAQEAIfkEAQoAAQAsAAAAADAAIACBAAD/AAAAAAAAAAAACEEAAQgcSLCgwYMIEypcyLChw4cQI0qcSLGixYsYM2rcyLGjx48gQ4ocSbKkyZMoU6pcybKly5cwY8qcSbOmzZkBAQA7',
  'image/webp': 'UklGRigAAABXRUJQVlA4TBsAAAAvL8AHAA8wgPs///MfWhALJvOXzqA7ov+B6hwA',
  'image/avif':
    'AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAALQAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAMAAAACAAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBIAAAAAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAANW1kYXQSAAoJOBUv+0gIaDSAMh5EgJDSoBBBB8gAANyrryWRuf4Xhi6P9riRVWKaerA=',
} as const;
const RED = [255, 0, 0];
const AZURE = [0, 128, 255];

const fileOf = (type: keyof typeof FILES) =>
  new Blob([Uint8Array.from(atob(FILES[type]), (character) => character.charCodeAt(0))], { type });

describe('decodeImage', () => {
  test.each([
    ['image/gif', RED, 0], // the first frame
    ['image/webp', AZURE, 0],
    ['image/avif', AZURE, 4], // lossy
  ] as const)('reads %s', async (type, right, slack) => {
    const { width, height, rgba } = await decodeImage(fileOf(type), 'picture');
    expect([width, height]).toEqual([48, 32]);
    for (const [x, colour] of [
      [8, RED],
      [40, right],
    ] as const) {
      const at = (16 * width + x) * 4;
      colour.forEach((value, i) => {
        expect(Math.abs(rgba[at + i] - value), `${x}: ${rgba.subarray(at, at + 3)}`).toBeLessThanOrEqual(slack);
      });
    }
  });

  test('gives the bytes of the file, whatever colour space it says they are in', async () => {
    const bytes = [10, 128, 200, 90, 30, 255];
    for (const gamma of [undefined, 1, 1 / 1.8]) {
      const { rgba } = await decodeImage(await png(2, 1, bytes, gamma), 'picture');
      expect([...rgba.subarray(0, 3), ...rgba.subarray(4, 7)], `gamma ${gamma}`).toEqual(bytes);
    }
  });
});

test('a bitmap’s transparent pixels are laid over white', () => {
  const canvas = new OffscreenCanvas(2, 1);
  const context = canvas.getContext('2d')!;
  context.fillStyle = 'rgb(255 0 0 / 50%)';
  context.fillRect(1, 0, 1, 1);
  const { rgba } = readBitmap(canvas.transferToImageBitmap(), 'picture');
  expect([...rgba.subarray(0, 3)]).toEqual([255, 255, 255]);
  expect(rgba[4]).toBe(255);
  expect(Math.abs(rgba[5] - 127.5)).toBeLessThan(2);
});

/** An RGB picture, with a gAMA chunk if wanted. Source: the PNG specification. */
async function png(width: number, height: number, rgb: number[], gamma?: number): Promise<Blob> {
  const rows = Array.from({ length: height }, (_, y) => [0, ...rgb.slice(y * width * 3, (y + 1) * width * 3)]);
  const packed = new Blob([Uint8Array.from(rows.flat())]).stream().pipeThrough(new CompressionStream('deflate'));
  const size = new DataView(new ArrayBuffer(13));
  size.setUint32(0, width);
  size.setUint32(4, height);
  size.setUint8(8, 8);
  size.setUint8(9, 2); // RGB
  const gama = new DataView(new ArrayBuffer(4));
  gama.setUint32(0, Math.round((gamma ?? 0) * 100_000));
  return new Blob([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10),
    chunk('IHDR', new Uint8Array(size.buffer)),
    ...(gamma ? [chunk('gAMA', new Uint8Array(gama.buffer))] : []),
    chunk('IDAT', new Uint8Array(await new Response(packed).arrayBuffer())),
    chunk('IEND', new Uint8Array()),
  ]);
}

function chunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/**
 * An ONNX model of one node, `y = MatMulNBits(x, W)`, written by hand: protobuf as of onnx.proto (IR version 8) and the
 * operator of com.microsoft (weights of 4 bits, a scale for each 32, zero at 8), which is ggml's Q4_0 packed otherwise.
 */

/** A matrix `[rows, columns]` of quants 0 to 15, with a scale for each 32 of a row. */
export interface FourBitMatrix {
  rows: number;
  columns: number;
  quants: Uint8Array;
  /** Exact in half precision. */
  scales: Float32Array;
}

export const BLOCK = 32;

/** As a Q4_0 tensor of a GGUF: per block a half, then 16 bytes with element i low and i + 16 high. */
export function asQ4_0({ quants, scales }: FourBitMatrix, toHalf: (value: number) => number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(scales.length * 18);
  const view = new DataView(bytes.buffer);
  scales.forEach((scale, block) => {
    view.setUint16(block * 18, toHalf(scale), true);
    for (let i = 0; i < 16; i++) {
      bytes[block * 18 + 2 + i] = quants[block * BLOCK + i] | (quants[block * BLOCK + i + 16] << 4);
    }
  });
  return bytes;
}

const FLOAT = 1;
const UINT8 = 2;

/** @param tokens rows of x @param accuracy 0: f32 all through; 4: x may be quantised to int8 */
export function asOnnx(matrix: FourBitMatrix, tokens: number, accuracy: number): Uint8Array<ArrayBuffer> {
  const { rows, columns, quants, scales } = matrix;
  // Element 2i low, 2i + 1 high.
  const nibbles = Uint8Array.from({ length: quants.length / 2 }, (_, i) => quants[2 * i] | (quants[2 * i + 1] << 4));
  const attributes = Object.entries({ K: columns, N: rows, bits: 4, block_size: BLOCK, accuracy_level: accuracy });
  const node = [
    ...['x', 'w', 'scales'].map((name) => text(1, name)),
    text(2, 'y'),
    text(4, 'MatMulNBits'),
    ...attributes.map(([name, value]) => bytes(5, [text(1, name), varint(3, value), varint(20, 2)])),
    text(7, 'com.microsoft'),
  ];
  const graph = [
    bytes(1, node),
    text(2, 'product'),
    bytes(5, tensor('w', UINT8, [rows, columns / BLOCK, BLOCK / 2], nibbles)),
    bytes(5, tensor('scales', FLOAT, [scales.length], new Uint8Array(scales.buffer))),
    bytes(11, value('x', [tokens, columns])),
    bytes(12, value('y', [tokens, rows])),
  ];
  const opset = (domain: string, version: number) => bytes(8, [text(1, domain), varint(2, version)]);
  return join([varint(1, 8), bytes(7, graph), opset('', 17), opset('com.microsoft', 1)]);
}

function tensor(name: string, type: number, dims: readonly number[], raw: Uint8Array): Uint8Array[] {
  return [...dims.map((dim) => varint(1, dim)), varint(2, type), text(8, name), bytes(9, [raw])];
}

function value(name: string, dims: readonly number[]): Uint8Array[] {
  const shape = bytes(
    2,
    dims.map((dim) => bytes(1, [varint(1, dim)])),
  );
  return [text(1, name), bytes(2, [bytes(1, [varint(1, FLOAT), shape])])];
}

function text(field: number, string: string): Uint8Array {
  return bytes(field, [new TextEncoder().encode(string)]);
}

function varint(field: number, n: number): Uint8Array {
  return Uint8Array.from([...digits(field << 3), ...digits(n)]);
}

function bytes(field: number, parts: readonly Uint8Array[]): Uint8Array {
  const body = join(parts);
  return join([Uint8Array.from([...digits((field << 3) | 2), ...digits(body.length)]), body]);
}

/** Base 128, lowest first. */
function digits(n: number): number[] {
  return n < 128 ? [n] : [(n % 128) | 128, ...digits(Math.floor(n / 128))];
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

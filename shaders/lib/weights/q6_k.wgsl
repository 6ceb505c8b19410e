// Q6_K: w = d·sc·(q − 32). quants: nibble plane; high: two-bit plane of the upper bits; scales: five words per 256, 16 signed
// bytes sc, one for each 16 weights, then f16 d.
import package::lib::bytes::{Quants, dequantized};
import package::lib::nibbles::high_nibbles;
import package::lib::nibbles::low_nibbles;
import package::lib::two_bits::two_bit_bytes;

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(1) var<storage, read> high: array<vec2u>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_quants(chunk: u32) -> Quants {
  let q = quants[chunk];
  let h = high[chunk];
  let block = 5u * (chunk >> 3u);
  let c = chunk & 7u;
  let sc = unpack4xI8(scales[block + (c >> 1u)] >> (16u * (c & 1u))).xy;
  let d = unpack2x16float(scales[block + 4u]).x * vec2f(sc);
  let first = low_nibbles(q) | (two_bit_bytes(h.x) << vec4u(4u));
  let last = high_nibbles(q) | (two_bit_bytes(h.y) << vec4u(4u));
  return Quants(first, last, d, -32.0 * d);
}

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  return dequantized(load_quants(chunk));
}

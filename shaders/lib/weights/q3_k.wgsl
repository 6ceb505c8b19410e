// Q3_K: w = d·(sc − 32)·(q − 4). quants: two-bit plane; high: one-bit plane of the third bits; scales: one vec4u per 256, 12
// bytes of 6-bit sc for each 16 weights (low four bits in the low nibbles of bytes 0–7, then in their high nibbles; upper two
// in bytes 8–11, four to a byte from the lowest bits), then f16 d.
import package::lib::bit_plane::bits_of_sixteen;
import package::lib::bytes::{Quants, dequantized};
import package::lib::two_bits::two_bit_bytes;

@group(1) @binding(0) var<storage, read> quants: array<vec2u>;
@group(1) @binding(1) var<storage, read> high: array<u32>;
@group(1) @binding(2) var<storage, read> scales: array<vec4u>;

fn load_quants(chunk: u32) -> Quants {
  let q = quants[chunk];
  let third = high[chunk];
  let block = scales[chunk >> 3u];
  let c = chunk & 7u;
  // The two scales of a chunk lie in neighbouring bytes.
  let pair = 16u * (c & 1u);
  let low = select(block.x, block.y, (c & 2u) != 0u) >> (pair + 4u * (c >> 2u));
  let upper = block.z >> (pair + 2u * (c >> 1u));
  let sc = (low & 0x0f0fu) | ((upper & 0x0303u) << 4u);
  let d = unpack2x16float(block.w).x * (vec2f(vec2u(sc & 0xffu, sc >> 8u)) - vec2f(32.0));
  let first = two_bit_bytes(q.x) | (bits_of_sixteen(third) << vec4u(2u));
  let last = two_bit_bytes(q.y) | (bits_of_sixteen(third >> 4u) << vec4u(2u));
  return Quants(first, last, d, -4.0 * d);
}

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  return dequantized(load_quants(chunk));
}

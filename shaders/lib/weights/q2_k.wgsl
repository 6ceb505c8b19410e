// Q2_K: w = d·sc·q − dmin·m. quants: two-bit plane; high: d | dmin, both f16; scales: a byte per 16 weights, sc in its low
// nibble, m in its high nibble.
import package::lib::bytes::{Quants, dequantized};
import package::lib::two_bits::two_bit_bytes;

@group(1) @binding(0) var<storage, read> quants: array<vec2u>;
@group(1) @binding(1) var<storage, read> high: array<u32>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_quants(chunk: u32) -> Quants {
  let q = quants[chunk];
  let d = unpack2x16float(high[chunk >> 3u]);
  let bytes = vec2u(scales[chunk >> 1u]) >> (vec2u(16u * (chunk & 1u)) + vec2u(0u, 8u));
  let sc = d.x * vec2f(bytes & vec2u(15u));
  let m = -d.y * vec2f((bytes >> vec2u(4u)) & vec2u(15u));
  return Quants(two_bit_bytes(q.x), two_bit_bytes(q.y), sc, m);
}

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  return dequantized(load_quants(chunk));
}

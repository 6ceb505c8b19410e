// MXFP4: w = 2^(e−127) · ±{0, ½, 1, 1½, 2, 3, 4, 6}. quants: nibble plane of three bits and a sign; scales: four e a word.
import package::lib::bit_plane::LOWEST_BITS;
import package::lib::bytes::{Quants, dequantized};
import package::lib::nibbles::high_nibbles;
import package::lib::nibbles::low_nibbles;

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

const OFFSET = 32u;

// Twice the value of each byte, plus OFFSET so that it stays positive.
fn doubled_values(q: vec4u) -> vec4u {
  let signs = (q >> vec4u(3u)) & vec4u(LOWEST_BITS);
  // Twice the magnitudes 0, 1, 2, 3, 4, 6, 8, 12 are x + the low two bits from x = 4 on + 2 at x = 7.
  let x = q & vec4u(0x07070707u);
  let from_four = x >> vec4u(2u);
  let beyond = ((from_four & vec4u(LOWEST_BITS)) * 3u) & x;
  let seven = from_four & (x >> vec4u(1u)) & x & vec4u(LOWEST_BITS);
  let magnitudes = x + beyond + (seven << vec4u(1u));
  // magnitude + 32, or 32 − magnitude: the complement of five bits, plus 1.
  return (magnitudes ^ (signs * 31u)) + signs + ((signs ^ vec4u(LOWEST_BITS)) << vec4u(5u));
}

fn load_quants(chunk: u32) -> Quants {
  let e = (scales[chunk >> 2u] >> (8u * (chunk & 3u))) & 0xffu;
  // Half of 2^(e−127), for the doubled values; the smallest two are subnormal.
  let d = bitcast<f32>(select((e - 1u) << 23u, 0x00200000u << (e & 1u), e < 2u));
  let q = quants[chunk];
  let m = -f32(OFFSET) * d;
  return Quants(doubled_values(low_nibbles(q)), doubled_values(high_nibbles(q)), vec2f(d), vec2f(m));
}

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  return dequantized(load_quants(chunk));
}

// Five-bit quants: the nibble plane with the one-bit plane as fifth bits.
import package::lib::bit_plane::bits_of_sixteen;
import package::lib::bytes::affine_bytes;
import package::lib::nibbles::high_nibbles;
import package::lib::nibbles::low_nibbles;

// d·q + m for 32 weights.
fn affine_five_bits(q: vec4u, fifth: u32, d: f32, m: f32) -> array<vec4f, 8> {
  let first = low_nibbles(q) | (bits_of_sixteen(fifth) << vec4u(4u));
  let last = high_nibbles(q) | (bits_of_sixteen(fifth >> 4u) << vec4u(4u));
  return affine_bytes(first, last, vec2f(d), vec2f(m));
}

// Five-bit quants: the nibble plane with the one-bit plane as fifth bits.
import package::lib::bit_plane::bits_of_sixteen;
import package::lib::bytes::Quants;
import package::lib::nibbles::high_nibbles;
import package::lib::nibbles::low_nibbles;

// d·q + m for 32 weights.
fn five_bit_quants(q: vec4u, fifth: u32, d: f32, m: f32) -> Quants {
  let first = low_nibbles(q) | (bits_of_sixteen(fifth) << vec4u(4u));
  let last = high_nibbles(q) | (bits_of_sixteen(fifth >> 4u) << vec4u(4u));
  return Quants(first, last, vec2f(d), vec2f(m));
}

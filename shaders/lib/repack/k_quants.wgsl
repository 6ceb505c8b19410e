// Q2_K, Q3_K, Q5_K and Q6_K keep several runs of 32 weights in the same 32 bytes, a run at each shift. These gather the
// words of one run: `raw` offsets of 32 bytes in, a plane's words out.
import package::lib::raw::raw_u32;
import package::lib::bit_plane::LOWEST_BITS;
import package::lib::two_bits::TWO_BITS;

// Two bits at `shift` of the 32 bytes at `offset`, as the two words of the two-bit plane.
fn two_bit_run(offset: u32, shift: u32) -> vec2u {
  var words = vec2u(0u);
  for (var s = 0u; s < 4u; s++) {
    let file = vec2u(raw_u32(offset + 4u * s), raw_u32(offset + 16u + 4u * s));
    words |= ((file >> vec2u(shift)) & vec2u(TWO_BITS)) << vec2u(2u * s);
  }
  return words;
}

// Bit `shift` of the 32 bytes at `offset`, as the word of the one-bit plane.
fn bit_run(offset: u32, shift: u32) -> u32 {
  var word = 0u;
  for (var k = 0u; k < 8u; k++) {
    word |= ((raw_u32(offset + 4u * k) >> shift) & LOWEST_BITS) << k;
  }
  return word;
}

// The two-bit plane of Q2_K and Q3_K, and of the upper bits of Q6_K: two words per 32 weights, in word j bits 2s, 2s + 1 of
// byte b = weight 16j + 4s + b.
const TWO_BITS = 0x03030303u;

// The 16 weights of one word, a byte each.
fn two_bit_bytes(word: u32) -> vec4u {
  return (vec4u(word) >> vec4u(0u, 2u, 4u, 6u)) & vec4u(TWO_BITS);
}

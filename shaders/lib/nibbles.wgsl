// The 4-bit plane shared by many types: one vec4u per 32 weights; of word j the low nibbles are weights 4j…4j+3, the high
// nibbles weights 16+4j….
import package::lib::bytes::Quants;

// Weights 0–15, a byte each.
fn low_nibbles(q: vec4u) -> vec4u {
  return q & vec4u(0x0f0f0f0fu);
}

// Weights 16–31.
fn high_nibbles(q: vec4u) -> vec4u {
  return (q >> vec4u(4u)) & vec4u(0x0f0f0f0fu);
}

// d·q + m for the 32 weights of a nibble vector.
fn nibble_quants(q: vec4u, d: f32, m: f32) -> Quants {
  return Quants(low_nibbles(q), high_nibbles(q), vec2f(d), vec2f(m));
}

// The 4-bit plane shared by many types: one vec4u per 32 weights; of word j the low nibbles are weights 4j…4j+3, the high
// nibbles weights 16+4j….
fn low_nibbles(word: u32) -> vec4f {
  return vec4f(unpack4xU8(word & 0x0f0f0f0fu));
}

fn high_nibbles(word: u32) -> vec4f {
  return vec4f(unpack4xU8((word >> 4u) & 0x0f0f0f0fu));
}

// d·q + m for the 32 weights of a nibble vector.
fn affine_nibbles(q: vec4u, d: f32, m: f32) -> array<vec4f, 8> {
  let scale = vec4f(d);
  let offset = vec4f(m);
  return array<vec4f, 8>(
    fma(low_nibbles(q.x), scale, offset),
    fma(low_nibbles(q.y), scale, offset),
    fma(low_nibbles(q.z), scale, offset),
    fma(low_nibbles(q.w), scale, offset),
    fma(high_nibbles(q.x), scale, offset),
    fma(high_nibbles(q.y), scale, offset),
    fma(high_nibbles(q.z), scale, offset),
    fma(high_nibbles(q.w), scale, offset),
  );
}

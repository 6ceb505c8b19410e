// The four bytes of a word as floats, lowest first.

fn unsigned_floats(word: u32) -> vec4f {
  return vec4f(unpack4xU8(word));
}

fn signed_floats(word: u32) -> vec4f {
  return vec4f(unpack4xI8(word));
}

// The last step of most decoders: 32 weights as bytes, four to a word, `first` weights 0–15 and `last` weights 16–31, to
// floats. Scales and offsets have one value for each half.
import package::lib::unpack::{signed_floats, unsigned_floats};

// d·q + m, q unsigned.
fn affine_bytes(first: vec4u, last: vec4u, d: vec2f, m: vec2f) -> array<vec4f, 8> {
  let d0 = vec4f(d.x);
  let d1 = vec4f(d.y);
  let m0 = vec4f(m.x);
  let m1 = vec4f(m.y);
  return array<vec4f, 8>(
    fma(unsigned_floats(first.x), d0, m0),
    fma(unsigned_floats(first.y), d0, m0),
    fma(unsigned_floats(first.z), d0, m0),
    fma(unsigned_floats(first.w), d0, m0),
    fma(unsigned_floats(last.x), d1, m1),
    fma(unsigned_floats(last.y), d1, m1),
    fma(unsigned_floats(last.z), d1, m1),
    fma(unsigned_floats(last.w), d1, m1),
  );
}

// d·q, q signed.
fn scaled_bytes(first: vec4u, last: vec4u, d: vec2f) -> array<vec4f, 8> {
  return array<vec4f, 8>(
    d.x * signed_floats(first.x),
    d.x * signed_floats(first.y),
    d.x * signed_floats(first.z),
    d.x * signed_floats(first.w),
    d.y * signed_floats(last.x),
    d.y * signed_floats(last.y),
    d.y * signed_floats(last.z),
    d.y * signed_floats(last.w),
  );
}

// 32 weights as small integers: w = d·q + m, where q fits a signed byte. `first`, `last`, d and m as above.
struct Quants {
  first: vec4u,
  last: vec4u,
  d: vec2f,
  m: vec2f,
}

// Their floats, where q is unsigned.
fn dequantized(w: Quants) -> array<vec4f, 8> {
  return affine_bytes(w.first, w.last, w.d, w.m);
}

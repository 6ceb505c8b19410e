// The 16 values of IQ4_NL and IQ4_XS: −127, −104, −83, −65, −49, −35, −22, −10, 1, 13, 25, 38, 53, 69, 89, 113.
// The best polynomial of degree 4 misses none of them by more than 0.434, so rounding it is exact; it needs no table, which
// each lane would have to look up 32 times.
import package::lib::bytes::Quants;
import package::lib::nibbles::high_nibbles;
import package::lib::nibbles::low_nibbles;
import package::lib::unpack::unsigned_floats;

fn iq4_values(word: u32) -> vec4f {
  let q = unsigned_floats(word);
  var value = fma(vec4f(1.58604e-3), q, vec4f(3.10864e-2));
  value = fma(value, q, vec4f(-1.37193));
  value = fma(value, q, vec4f(24.1738));
  return round(fma(value, q, vec4f(-126.567)));
}

// d times the values of a nibble vector.
fn scaled_iq4(q: vec4u, d: f32) -> array<vec4f, 8> {
  let first = low_nibbles(q);
  let last = high_nibbles(q);
  return array<vec4f, 8>(
    d * iq4_values(first.x),
    d * iq4_values(first.y),
    d * iq4_values(first.z),
    d * iq4_values(first.w),
    d * iq4_values(last.x),
    d * iq4_values(last.y),
    d * iq4_values(last.z),
    d * iq4_values(last.w),
  );
}

fn iq4_bytes(words: vec4u) -> vec4u {
  return vec4u(
    pack4xI8(vec4i(iq4_values(words.x))),
    pack4xI8(vec4i(iq4_values(words.y))),
    pack4xI8(vec4i(iq4_values(words.z))),
    pack4xI8(vec4i(iq4_values(words.w))),
  );
}

// The same, still apart from d.
fn iq4_quants(q: vec4u, d: f32) -> Quants {
  return Quants(iq4_bytes(low_nibbles(q)), iq4_bytes(high_nibbles(q)), vec2f(d), vec2f(0.0));
}

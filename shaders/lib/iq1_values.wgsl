// IQ1_S and IQ1_M: an entry of the codebook is eight values −1, 0, 1, stored as value + 1 in the nibbles of a word.
import package::lib::unpack::unsigned_floats;

// d·(value + offset) for the eight.
fn iq1_values(entry: u32, d: f32, offset: f32) -> array<vec4f, 2> {
  let even = unsigned_floats(entry & 0x0f0f0f0fu);
  let odd = unsigned_floats((entry >> 4u) & 0x0f0f0f0fu);
  let m = vec4f(d * (offset - 1.0));
  return array<vec4f, 2>(
    fma(vec4f(even.x, odd.x, even.y, odd.y), vec4f(d), m),
    fma(vec4f(even.z, odd.z, even.w, odd.w), vec4f(d), m),
  );
}

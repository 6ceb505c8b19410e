// The four bytes of a word as floats, lowest first, for SwiftShader, which shifts a vector lane by lane: twenty operations
// each. So bytes are converted where they stand and scaled down, all of which is exact.

const BYTES = vec4u(0xffu, 0xff00u, 0xff0000u, 0xff000000u);
const SCALES = vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24);

fn unsigned_floats(word: u32) -> vec4f {
  let bytes = vec4u(word) & BYTES;
  // What has no sign bit is converted as i32, in one operation instead of five.
  return vec4f(vec3f(vec3i(bytes.xyz)), f32(bytes.w)) * SCALES;
}

fn signed_floats(word: u32) -> vec4f {
  return unsigned_floats(word ^ 0x80808080u) - 128.0;
}

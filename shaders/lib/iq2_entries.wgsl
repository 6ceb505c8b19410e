// IQ2 types: an entry of the codebook is eight magnitudes, a byte each in two words.
import package::lib::bit_plane::bits_of_sixteen;
import package::lib::bit_plane::signed_bytes;
import package::lib::bytes::scaled_bytes;

@group(1) @binding(3) var<storage, read> grid: array<vec2u>;

// d times four entries with the signs of a one-bit word.
fn signed_entries(entries: vec4u, signs: u32, d: vec2f) -> array<vec4f, 8> {
  let first = vec4u(grid[entries.x], grid[entries.y]);
  let last = vec4u(grid[entries.z], grid[entries.w]);
  return scaled_bytes(
    signed_bytes(first, bits_of_sixteen(signs)),
    signed_bytes(last, bits_of_sixteen(signs >> 4u)),
    d,
  );
}

// d·(sc + ½)/4 for the two 4-bit scales in a byte.
fn half_scales(d: f32, byte: u32) -> vec2f {
  let sc = vec2f(vec2u(byte & 15u, (byte >> 4u) & 15u));
  return d * (0.25 * sc + vec2f(0.125));
}

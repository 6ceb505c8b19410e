// IQ3 types: an entry of the codebook is four magnitudes, a byte each in a word.
import package::lib::bit_plane::bits_of_sixteen;
import package::lib::bit_plane::signed_bytes;
import package::lib::bytes::scaled_bytes;

@group(1) @binding(3) var<storage, read> grid: array<u32>;

// d times eight entries with the signs of a one-bit word.
fn signed_entries(first: vec4u, last: vec4u, signs: u32, d: f32) -> array<vec4f, 8> {
  return scaled_bytes(
    signed_bytes(entry_words(first), bits_of_sixteen(signs)),
    signed_bytes(entry_words(last), bits_of_sixteen(signs >> 4u)),
    vec2f(d),
  );
}

fn entry_words(entries: vec4u) -> vec4u {
  return vec4u(grid[entries.x], grid[entries.y], grid[entries.z], grid[entries.w]);
}

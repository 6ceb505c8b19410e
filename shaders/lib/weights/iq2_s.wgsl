// IQ2_S: w = d·(sc + ½)/4·(±entry). quants: per 32 weights four bytes, the low bits of the codebook entries of eight weights
// each, and a word of the one-bit plane, the signs; high: 16 bits per 32: the upper two bits of the four entries, sc of the
// first 16 and of the last; scales: two f16 d a word.
import package::lib::iq2_entries::half_scales;
import package::lib::iq2_entries::signed_entries;

@group(1) @binding(0) var<storage, read> quants: array<vec2u>;
@group(1) @binding(1) var<storage, read> high: array<u32>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let q = quants[chunk];
  let d = unpack2x16float(scales[chunk >> 4u])[(chunk >> 3u) & 1u];
  let h = high[chunk >> 1u] >> (16u * (chunk & 1u));
  let upper = (vec4u(h) >> vec4u(0u, 2u, 4u, 6u)) & vec4u(3u);
  return signed_entries(unpack4xU8(q.x) | (upper << vec4u(8u)), q.y, half_scales(d, h >> 8u));
}

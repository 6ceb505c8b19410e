// IQ2_XS: w = d·(sc + ½)/4·(±entry). quants: per 32 weights four bytes, the low bits of the codebook entries of eight weights
// each, and a sign word whose other bits are the ninth bits of the entries; high: a byte per 32, sc of the first 16 in its low
// nibble, of the last in its high nibble; scales: two f16 d a word.
import package::lib::iq2_entries::half_scales;
import package::lib::iq2_entries::signed_entries;
import package::lib::signs::all_signs;
import package::lib::signs::other_bits;

@group(1) @binding(0) var<storage, read> quants: array<vec2u>;
@group(1) @binding(1) var<storage, read> high: array<u32>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let q = quants[chunk];
  let d = unpack2x16float(scales[chunk >> 4u])[(chunk >> 3u) & 1u];
  let sc = high[chunk >> 2u] >> (8u * (chunk & 3u));
  let ninth = (vec4u(other_bits(q.y)) >> vec4u(0u, 2u, 4u, 6u)) & vec4u(1u);
  return signed_entries(unpack4xU8(q.x) | (ninth << vec4u(8u)), all_signs(q.y), half_scales(d, sc));
}

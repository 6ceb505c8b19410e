// IQ2_XXS: w = d·(sc + ½)/4·(±entry). quants: per 32 weights four bytes, each the codebook entry of eight weights, and a
// sign word whose other bits are sc; scales: two f16 d a word.
import package::lib::iq2_entries::signed_entries;
import package::lib::signs::all_signs;
import package::lib::signs::other_nibble;

@group(1) @binding(0) var<storage, read> quants: array<vec2u>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let q = quants[chunk];
  let d = unpack2x16float(scales[chunk >> 4u])[(chunk >> 3u) & 1u];
  let scale = d * (0.25 * f32(other_nibble(q.y)) + 0.125);
  return signed_entries(vec4u(unpack4xU8(q.x)), all_signs(q.y), vec2f(scale));
}

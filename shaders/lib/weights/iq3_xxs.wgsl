// IQ3_XXS: w = d·(sc + ½)/2·(±entry). quants: a byte, the codebook entry, for each four weights; high: a sign word per 32
// whose other bits are sc; scales: two f16 d a word.
import package::lib::iq3_entries::signed_entries;
import package::lib::signs::all_signs;
import package::lib::signs::other_nibble;

@group(1) @binding(0) var<storage, read> quants: array<vec2u>;
@group(1) @binding(1) var<storage, read> high: array<u32>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let q = quants[chunk];
  let h = high[chunk];
  let d = unpack2x16float(scales[chunk >> 4u])[(chunk >> 3u) & 1u];
  let scale = d * (0.5 * f32(other_nibble(h)) + 0.25);
  return signed_entries(unpack4xU8(q.x), unpack4xU8(q.y), all_signs(h), scale);
}

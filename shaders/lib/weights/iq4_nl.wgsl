// IQ4_NL: w = d·K[q]. quants: nibble plane; scales: two f16 d a word.
import package::lib::iq4_values::scaled_iq4;

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let d = unpack2x16float(scales[chunk >> 1u])[chunk & 1u];
  return scaled_iq4(quants[chunk], d);
}

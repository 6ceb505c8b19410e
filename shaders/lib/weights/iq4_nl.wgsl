// IQ4_NL: w = d·K[q]. quants: nibble plane; scales: two f16 d a word.
import package::lib::bytes::Quants;
import package::lib::iq4_values::{iq4_quants, scaled_iq4};

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn scale(chunk: u32) -> f32 {
  return unpack2x16float(scales[chunk >> 1u])[chunk & 1u];
}

fn load_quants(chunk: u32) -> Quants {
  return iq4_quants(quants[chunk], scale(chunk));
}

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  return scaled_iq4(quants[chunk], scale(chunk));
}

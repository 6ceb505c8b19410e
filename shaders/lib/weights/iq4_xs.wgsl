// IQ4_XS: w = d·(sc − 32)·K[q]. quants: nibble plane; scales: one vec2u per 256: d (f16) | upper two bits of eight sc, low
// four bits of them.
import package::lib::bytes::Quants;
import package::lib::iq4_values::{iq4_quants, scaled_iq4};

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(2) var<storage, read> scales: array<vec2u>;

fn scale(chunk: u32) -> f32 {
  let block = scales[chunk >> 3u];
  let c = chunk & 7u;
  let sc = ((block.y >> (4u * c)) & 15u) | (((block.x >> (16u + 2u * c)) & 3u) << 4u);
  return unpack2x16float(block.x).x * (f32(sc) - 32.0);
}

fn load_quants(chunk: u32) -> Quants {
  return iq4_quants(quants[chunk], scale(chunk));
}

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  return scaled_iq4(quants[chunk], scale(chunk));
}

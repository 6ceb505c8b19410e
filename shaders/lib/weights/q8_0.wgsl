// Q8_0: w = d·q. quants: 2 vec4u of signed bytes per 32; scales: two f16 d a word.
import package::lib::bytes::{Quants, scaled_bytes};

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_quants(chunk: u32) -> Quants {
  let d = unpack2x16float(scales[chunk >> 1u])[chunk & 1u];
  return Quants(quants[2u * chunk], quants[2u * chunk + 1u], vec2f(d), vec2f(0.0));
}

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let w = load_quants(chunk);
  return scaled_bytes(w.first, w.last, w.d);
}

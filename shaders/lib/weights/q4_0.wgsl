// Q4_0: w = d·(q − 8). quants: nibble plane; scales: two f16 d a word.
import package::lib::bytes::{Quants, dequantized};
import package::lib::nibbles::nibble_quants;

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_quants(chunk: u32) -> Quants {
  let d = unpack2x16float(scales[chunk >> 1u])[chunk & 1u];
  return nibble_quants(quants[chunk], d, -8.0 * d);
}

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  return dequantized(load_quants(chunk));
}

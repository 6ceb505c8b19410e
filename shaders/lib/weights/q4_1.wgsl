// Q4_1: w = d·q + m. quants: nibble plane; scales: d | m, both f16, a word.
import package::lib::bytes::{Quants, dequantized};
import package::lib::nibbles::nibble_quants;

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_quants(chunk: u32) -> Quants {
  let dm = unpack2x16float(scales[chunk]);
  return nibble_quants(quants[chunk], dm.x, dm.y);
}

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  return dequantized(load_quants(chunk));
}

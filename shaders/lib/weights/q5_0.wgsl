// Q5_0: w = d·(q − 16). quants: nibble plane; high: one-bit plane; scales: two f16 d a word.
import package::lib::bytes::{Quants, dequantized};
import package::lib::five_bits::five_bit_quants;

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(1) var<storage, read> high: array<u32>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_quants(chunk: u32) -> Quants {
  let d = unpack2x16float(scales[chunk >> 1u])[chunk & 1u];
  return five_bit_quants(quants[chunk], high[chunk], d, -16.0 * d);
}

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  return dequantized(load_quants(chunk));
}

// Q5_0: w = d·(q − 16). quants: nibble plane; high: one-bit plane; scales: two f16 d a word.
import package::lib::five_bits::affine_five_bits;

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(1) var<storage, read> high: array<u32>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let d = unpack2x16float(scales[chunk >> 1u])[chunk & 1u];
  return affine_five_bits(quants[chunk], high[chunk], d, -16.0 * d);
}

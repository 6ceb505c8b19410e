// Q4_0: w = d·(q − 8). quants: nibble plane; scales: two f16 d a word.
import package::lib::nibbles::affine_nibbles;

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let d = unpack2x16float(scales[chunk >> 1u])[chunk & 1u];
  return affine_nibbles(quants[chunk], d, -8.0 * d);
}

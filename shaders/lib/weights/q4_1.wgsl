// Q4_1: w = d·q + m. quants: nibble plane; scales: d | m, both f16, a word.
import package::lib::nibbles::affine_nibbles;

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let dm = unpack2x16float(scales[chunk]);
  return affine_nibbles(quants[chunk], dm.x, dm.y);
}

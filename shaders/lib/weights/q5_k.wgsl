// Q5_K: w = d·sc·q − dmin·m. quants: nibble plane; high: one-bit plane; scales: one vec4u per 256 (d | dmin, 12 bytes of 6-bit
// sc and m).
import package::lib::bytes::{Quants, dequantized};
import package::lib::five_bits::five_bit_quants;
import package::lib::k_scales::k_scale_min;

@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(1) var<storage, read> high: array<u32>;
@group(1) @binding(2) var<storage, read> scales: array<vec4u>;

fn load_quants(chunk: u32) -> Quants {
  let dm = k_scale_min(scales[chunk >> 3u], chunk & 7u);
  return five_bit_quants(quants[chunk], high[chunk], dm.x, dm.y);
}

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  return dequantized(load_quants(chunk));
}

// IQ1_S: w = d·(2·sc + 1)·(entry ± ⅛). quants: four bytes per 32 weights, the low bits of the codebook entries of eight
// weights each; high: 16 bits per 32: 3 upper bits of each entry, 3 bits sc, the sign of ⅛; scales: two f16 d a word.
import package::lib::iq1_values::iq1_values;

@group(1) @binding(0) var<storage, read> quants: array<u32>;
@group(1) @binding(1) var<storage, read> high: array<u32>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;
@group(1) @binding(3) var<storage, read> grid: array<u32>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let h = high[chunk >> 1u] >> (16u * (chunk & 1u));
  let entries = unpack4xU8(quants[chunk]) | (((vec4u(h) >> vec4u(0u, 3u, 6u, 9u)) & vec4u(7u)) << vec4u(8u));
  let d = unpack2x16float(scales[chunk >> 4u])[(chunk >> 3u) & 1u] * f32(2u * ((h >> 12u) & 7u) + 1u);
  let offset = select(0.125, -0.125, (h & 0x8000u) != 0u);
  let w0 = iq1_values(grid[entries.x], d, offset);
  let w1 = iq1_values(grid[entries.y], d, offset);
  let w2 = iq1_values(grid[entries.z], d, offset);
  let w3 = iq1_values(grid[entries.w], d, offset);
  return array<vec4f, 8>(w0[0], w0[1], w1[0], w1[1], w2[0], w2[1], w3[0], w3[1]);
}

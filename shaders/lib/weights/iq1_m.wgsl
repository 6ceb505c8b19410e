// IQ1_M: w = d·(2·sc + 1)·(entry ± ⅛). quants: four bytes per 32 weights, the low bits of the codebook entries of eight
// weights each; high: for each entry a nibble of 3 upper bits and the sign of ⅛; scales: one vec2u per 256, four times 16 bits:
// four 3-bit sc, one for each 16 weights, and a nibble of the f16 d.
import package::lib::iq1_values::iq1_values;

@group(1) @binding(0) var<storage, read> quants: array<u32>;
@group(1) @binding(1) var<storage, read> high: array<u32>;
@group(1) @binding(2) var<storage, read> scales: array<vec2u>;
@group(1) @binding(3) var<storage, read> grid: array<u32>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let h = vec4u(high[chunk >> 1u] >> (16u * (chunk & 1u))) >> vec4u(0u, 4u, 8u, 12u);
  let entries = unpack4xU8(quants[chunk]) | ((h & vec4u(7u)) << vec4u(8u));
  let block = scales[chunk >> 3u];
  let c = chunk & 7u;
  let tops = (block >> vec2u(12u)) & vec2u(0x000f000fu);
  let d_bits = (tops.x & 15u) | (tops.x >> 12u) | (((tops.y & 15u) | (tops.y >> 12u)) << 8u);
  let sc = vec2u(select(block.x, block.y, c >= 4u)) >> (vec2u(16u * ((c >> 1u) & 1u) + 6u * (c & 1u)) + vec2u(0u, 3u));
  let d = unpack2x16float(d_bits).x * vec2f(2u * (sc & vec2u(7u)) + 1u);
  let offsets = select(vec4f(0.125), vec4f(-0.125), (h & vec4u(8u)) != vec4u(0u));
  let w0 = iq1_values(grid[entries.x], d.x, offsets.x);
  let w1 = iq1_values(grid[entries.y], d.x, offsets.y);
  let w2 = iq1_values(grid[entries.z], d.y, offsets.z);
  let w3 = iq1_values(grid[entries.w], d.y, offsets.w);
  return array<vec4f, 8>(w0[0], w0[1], w1[0], w1[1], w2[0], w2[1], w3[0], w3[1]);
}

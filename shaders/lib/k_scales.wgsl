// Q4_K and Q5_K: w = d·sc·q − dmin·m with 6-bit sc and m for each sub-block of 32.
// block = (d | dmin, 12 bytes s): for j < 4: sc = s[j] & 63, m = s[j+4] & 63;
// for j ≥ 4: sc = (s[j+4] & 15) | (s[j−4] >> 6) << 4, m = (s[j+4] >> 4) | (s[j] >> 6) << 4.
// Returns (d·sc, −dmin·m).
fn k_scale_min(block: vec4u, j: u32) -> vec2f {
  let shift = 8u * (j & 3u);
  let s0 = (block.y >> shift) & 0xffu;
  let s4 = (block.z >> shift) & 0xffu;
  let s8 = (block.w >> shift) & 0xffu;
  let low = vec2u(s0 & 63u, s4 & 63u);
  let high = vec2u((s8 & 15u) | ((s0 >> 6u) << 4u), (s8 >> 4u) | ((s4 >> 6u) << 4u));
  let d = unpack2x16float(block.x);
  return vec2f(d.x, -d.y) * vec2f(select(low, high, j >= 4u));
}

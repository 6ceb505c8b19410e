// The one-bit plane shared by many types (fifth bits, signs): one word per 32 weights, bit 8b + k = weight 4k + b. So the
// bits of four consecutive weights, k counting the fours, are the lowest of the four bytes after one shift.
const LOWEST_BITS = 0x01010101u;

// The bits of weights 0–15, each the lowest of its byte; of weights 16–31 with `bits` shifted right by 4.
fn bits_of_sixteen(bits: u32) -> vec4u {
  return (vec4u(bits) >> vec4u(0u, 1u, 2u, 3u)) & vec4u(LOWEST_BITS);
}

// Four bits, each to the lowest of its byte.
fn spread_four(nibble: u32) -> u32 {
  return ((nibble & 15u) * 0x00204081u) & LOWEST_BITS;
}

// From bit i = weight i to the order of the plane.
fn interleave_bits(bits: u32) -> u32 {
  var plane = 0u;
  for (var k = 0u; k < 8u; k++) {
    plane |= spread_four(bits >> (4u * k)) << k;
  }
  return plane;
}

// Bytes from 1 to 127 as signed bytes, negative where the byte of `signs` is 1 rather than 0. (Zero would carry.)
fn signed_bytes(magnitudes: vec4u, signs: vec4u) -> vec4u {
  return (magnitudes ^ (signs * 255u)) + signs;
}

// The one-bit plane shared by many types (fifth bits, signs): one word per 32 weights, bit 8b + k = weight 4k + b. So the
// bits of four consecutive weights, k counting the fours, are the lowest of the four bytes after one shift.
const LOWEST_BITS = 0x01010101u;

// The bits of weights 4k…4k+3, each the lowest of its byte.
fn bits_of_four(bits: u32, k: u32) -> u32 {
  return (bits >> k) & LOWEST_BITS;
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

// Four bytes from 1 to 127 as signed bytes, negative where the sign's byte is 1 rather than 0. (Zero would carry.)
fn signed_bytes(magnitudes: u32, signs: u32) -> u32 {
  return (magnitudes ^ (signs * 255u)) + signs;
}

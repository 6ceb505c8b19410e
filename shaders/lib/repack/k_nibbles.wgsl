// K-quants keep two runs of 32 weights in the low and high nibbles of the same 32 bytes; the nibble plane keeps each run's
// weights 0–15 and 16–31 in the low and high nibbles of its own 16 bytes. From word j (weights 4j…) and word 4+j (weights
// 16+4j…) of the 32 bytes: word j of the first run's vector, and of the second's.
fn split_nibbles(first: u32, second: u32) -> vec2u {
  let low = 0x0f0f0f0fu;
  return vec2u((first & low) | ((second & low) << 4u), ((first >> 4u) & low) | (second & ~low));
}

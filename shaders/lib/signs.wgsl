// Sign words of IQ2_XXS, IQ2_XS and IQ3_XXS, as lib/repack/signs.wgsl makes them: 28 signs and 4 other bits.
const EIGHTH_SIGNS = 0xaa000000u;

// The eighth sign of each group of eight weights makes the number of negative ones even.
fn all_signs(word: u32) -> u32 {
  let stored = word & ~EIGHTH_SIGNS;
  let halves = stored ^ (stored >> 16u);
  let fours = halves ^ (halves >> 8u); // bit k of the low byte: parity of weights 4k…4k+3
  let eights = (fours ^ (fours >> 1u)) & 0x55u;
  return stored | (eights << 25u);
}

// Bit 2g of the result is the g-th of the four other bits.
fn other_bits(word: u32) -> u32 {
  return (word >> 25u) & 0x55u;
}

// The four other bits side by side.
fn other_nibble(word: u32) -> u32 {
  let apart = other_bits(word);
  let pairs = (apart | (apart >> 1u)) & 0x33u;
  return (pairs | (pairs >> 2u)) & 15u;
}

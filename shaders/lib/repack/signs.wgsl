// IQ2_XXS, IQ2_XS and IQ3_XXS store seven signs for each eight weights; the eighth makes the number of negative ones even.
// The sign word keeps them in the order of lib/bit_plane.wgsl; the four places of the missing eighths (bits 25, 27, 29, 31)
// hold four more bits of the block, which lib/signs.wgsl takes out again.
import package::lib::bit_plane::spread_four;

fn sign_word(sevens: vec4u, more: u32) -> u32 {
  var word = 0u;
  for (var g = 0u; g < 4u; g++) {
    word |= (spread_four(sevens[g]) << (2u * g)) | (spread_four((sevens[g] >> 4u) & 7u) << (2u * g + 1u));
    word |= ((more >> g) & 1u) << (25u + 2u * g);
  }
  return word;
}

// IQ3_XXS, 98 bytes: d, qs[64] (an index per 4 weights), per 32 weights a word of 4 × 7 signs and a 4-bit scale.
import package::lib::raw::raw_u32;
import package::lib::repack::half_pairs::half_pair;
import package::lib::repack::planes::high;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;
import package::lib::repack::signs::sign_word;

const BLOCKS_PER_GROUP = 2u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  scales[place] = half_pair(group, blocks, 98u, 0u);
  for (var i = 0u; i < min(2u, blocks - 2u * group); i++) {
    let block = (2u * group + i) * 98u;
    for (var j = 0u; j < 16u; j++) {
      quants[(2u * place + i) * 16u + j] = raw_u32(block + 2u + 4u * j);
    }
    for (var c = 0u; c < 8u; c++) {
      let word = raw_u32(block + 66u + 4u * c);
      high[(2u * place + i) * 8u + c] = sign_word(vec4u(word) >> vec4u(0u, 7u, 14u, 21u), word >> 28u);
    }
  }
}

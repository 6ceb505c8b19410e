// IQ2_XXS, 66 bytes: d, then per 32 weights four index bytes and a word of 4 × 7 signs and a 4-bit scale.
import package::lib::raw::raw_u32;
import package::lib::repack::half_pairs::half_pair;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;
import package::lib::repack::signs::sign_word;

const BLOCKS_PER_GROUP = 2u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  scales[place] = half_pair(group, blocks, 66u, 0u);
  for (var i = 0u; i < min(2u, blocks - 2u * group); i++) {
    for (var c = 0u; c < 8u; c++) {
      let file = (2u * group + i) * 66u + 2u + 8u * c;
      let word = raw_u32(file + 4u);
      let chunk = (2u * place + i) * 8u + c;
      quants[2u * chunk] = raw_u32(file);
      quants[2u * chunk + 1u] = sign_word(vec4u(word) >> vec4u(0u, 7u, 14u, 21u), word >> 28u);
    }
  }
}

// IQ1_S, 50 bytes: d, qs[32], qh[8] of 16 bits; four bytes of qs and one qh per 32 weights.
import package::lib::raw::raw_u32;
import package::lib::repack::half_pairs::half_pair;
import package::lib::repack::planes::high;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 2u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  scales[place] = half_pair(group, blocks, 50u, 0u);
  for (var i = 0u; i < min(2u, blocks - 2u * group); i++) {
    let block = (2u * group + i) * 50u;
    for (var j = 0u; j < 8u; j++) {
      quants[(2u * place + i) * 8u + j] = raw_u32(block + 2u + 4u * j);
    }
    for (var j = 0u; j < 4u; j++) {
      high[(2u * place + i) * 4u + j] = raw_u32(block + 34u + 4u * j);
    }
  }
}

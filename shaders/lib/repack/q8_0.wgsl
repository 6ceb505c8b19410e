// Q8_0, 34 bytes: d, qs[32].
import package::lib::raw::raw_u32;
import package::lib::repack::half_pairs::half_pair;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 2u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  scales[place] = half_pair(group, blocks, 34u, 0u);
  for (var i = 0u; i < min(2u, blocks - 2u * group); i++) {
    for (var j = 0u; j < 8u; j++) {
      quants[(2u * place + i) * 8u + j] = raw_u32((2u * group + i) * 34u + 2u + 4u * j);
    }
  }
}

// Q4_1, 20 bytes: d, m, qs[16].
import package::lib::raw::raw_u32;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 1u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  let block = group * 20u;
  scales[place] = raw_u32(block);
  for (var j = 0u; j < 4u; j++) {
    quants[place * 4u + j] = raw_u32(block + 4u + 4u * j);
  }
}

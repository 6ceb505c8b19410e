// Q5_1, 24 bytes: d, m, qh[4], qs[16].
import package::lib::bit_plane::interleave_bits;
import package::lib::raw::raw_u32;
import package::lib::repack::planes::high;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 1u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  let block = group * 24u;
  scales[place] = raw_u32(block);
  high[place] = interleave_bits(raw_u32(block + 4u));
  for (var j = 0u; j < 4u; j++) {
    quants[place * 4u + j] = raw_u32(block + 8u + 4u * j);
  }
}

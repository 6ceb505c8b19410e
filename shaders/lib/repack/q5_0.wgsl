// Q5_0, 22 bytes: d, qh[4], qs[16].
import package::lib::bit_plane::interleave_bits;
import package::lib::raw::raw_u32;
import package::lib::repack::half_pairs::half_pair;
import package::lib::repack::planes::high;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 2u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  scales[place] = half_pair(group, blocks, 22u, 0u);
  for (var i = 0u; i < min(2u, blocks - 2u * group); i++) {
    let block = (2u * group + i) * 22u;
    high[2u * place + i] = interleave_bits(raw_u32(block + 2u));
    for (var j = 0u; j < 4u; j++) {
      quants[(2u * place + i) * 4u + j] = raw_u32(block + 6u + 4u * j);
    }
  }
}

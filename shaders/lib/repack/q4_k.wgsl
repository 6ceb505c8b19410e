// Q4_K, 144 bytes: d, dmin, scales[12], qs[128]. Each 64 weights use 32 bytes of qs: the low nibbles are their first 32
// weights, the high nibbles their last 32.
import package::lib::raw::raw_u32;
import package::lib::repack::k_nibbles::split_nibbles;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 1u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  let block = group * 144u;
  for (var j = 0u; j < 4u; j++) {
    scales[4u * place + j] = raw_u32(block + 4u * j);
    split_nibbles(block + 16u + 32u * j, 8u * place + 2u * j, 8u * place + 2u * j + 1u);
  }
}

// IQ4_NL, 18 bytes: d, qs[16].
import package::lib::repack::d_nibbles::repack_d_nibbles;

const BLOCKS_PER_GROUP = 2u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  repack_d_nibbles(group, place, blocks);
}

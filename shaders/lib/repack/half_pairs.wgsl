// Two halves a word for types whose block has one: those of blocks 2·group and 2·group + 1, `offset` bytes into the block.
import package::lib::raw::raw_u16;

fn half_pair(group: u32, blocks: u32, block_bytes: u32, offset: u32) -> u32 {
  let first = 2u * group;
  var pair = raw_u16(first * block_bytes + offset);
  if (first + 1u < blocks) {
    pair |= raw_u16((first + 1u) * block_bytes + offset) << 16u;
  }
  return pair;
}

// Q4_K, 144 bytes: d, dmin, scales[12], qs[128]. Each run of 64 weights uses 32 bytes of qs: the low nibbles are its first
// 32 weights, the high nibbles its last 32.
import package::lib::raw::raw_u32;
import package::lib::repack::k_nibbles::split_nibbles;

@group(1) @binding(0) var<storage, read_write> quants: array<u32>;
@group(1) @binding(2) var<storage, read_write> scales: array<u32>;

const BLOCKS_PER_GROUP = 1u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  let block = group * 144u;
  for (var j = 0u; j < 4u; j++) {
    scales[4u * place + j] = raw_u32(block + 4u * j);
  }
  for (var run = 0u; run < 4u; run++) {
    for (var j = 0u; j < 4u; j++) {
      let first = raw_u32(block + 16u + 32u * run + 4u * j);
      let second = raw_u32(block + 32u + 32u * run + 4u * j);
      let words = split_nibbles(first, second);
      quants[place * 32u + 8u * run + j] = words.x;
      quants[place * 32u + 8u * run + 4u + j] = words.y;
    }
  }
}

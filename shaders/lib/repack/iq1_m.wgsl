// IQ1_M, 56 bytes: qs[32], qh[16], scales[4] of 16 bits; four bytes of qs and two of qh per 32 weights.
import package::lib::raw::raw_u32;
import package::lib::repack::planes::high;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 1u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  let block = group * 56u;
  for (var j = 0u; j < 8u; j++) {
    quants[8u * place + j] = raw_u32(block + 4u * j);
  }
  for (var j = 0u; j < 4u; j++) {
    high[4u * place + j] = raw_u32(block + 32u + 4u * j);
  }
  for (var j = 0u; j < 2u; j++) {
    scales[2u * place + j] = raw_u32(block + 48u + 4u * j);
  }
}

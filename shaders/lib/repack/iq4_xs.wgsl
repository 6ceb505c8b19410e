// IQ4_XS, 136 bytes: d, scales_h, scales_l[4], qs[128]; 16 bytes of qs per 32 weights.
import package::lib::raw::raw_u32;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 1u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  let block = group * 136u;
  scales[2u * place] = raw_u32(block);
  scales[2u * place + 1u] = raw_u32(block + 4u);
  for (var j = 0u; j < 32u; j++) {
    quants[32u * place + j] = raw_u32(block + 8u + 4u * j);
  }
}

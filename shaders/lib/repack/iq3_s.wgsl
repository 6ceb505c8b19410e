// IQ3_S, 110 bytes: d, qs[64] (low index bytes, one per 4 weights), qh[8] (ninth bits), signs[32], scales[4].
import package::lib::bit_plane::interleave_bits;
import package::lib::raw::raw_u16;
import package::lib::raw::raw_u32;
import package::lib::repack::planes::high;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 1u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  let block = group * 110u;
  for (var j = 0u; j < 16u; j++) {
    quants[16u * place + j] = raw_u32(block + 2u + 4u * j);
  }
  for (var c = 0u; c < 8u; c++) {
    high[8u * place + c] = interleave_bits(raw_u32(block + 74u + 4u * c));
  }
  scales[4u * place] = raw_u32(block + 66u);
  scales[4u * place + 1u] = raw_u32(block + 70u);
  scales[4u * place + 2u] = raw_u32(block + 106u);
  scales[4u * place + 3u] = raw_u16(block);
}

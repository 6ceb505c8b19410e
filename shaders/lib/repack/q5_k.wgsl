// Q5_K, 176 bytes: d, dmin, scales[12], qh[32], qs[128]. qs as in Q4_K; bit c of qh belongs to the c-th run of 32 weights.
import package::lib::raw::raw_u32;
import package::lib::repack::k_nibbles::split_nibbles;
import package::lib::repack::k_quants::bit_run;
import package::lib::repack::planes::high;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 1u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  let block = group * 176u;
  for (var j = 0u; j < 4u; j++) {
    scales[4u * place + j] = raw_u32(block + 4u * j);
    split_nibbles(block + 48u + 32u * j, 8u * place + 2u * j, 8u * place + 2u * j + 1u);
  }
  for (var c = 0u; c < 8u; c++) {
    high[8u * place + c] = bit_run(block + 16u, c);
  }
}

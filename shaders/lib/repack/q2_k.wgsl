// Q2_K, 84 bytes: scales[16], qs[64], d, dmin. Each half of 128 weights has 32 bytes of qs, a run of 32 at each shift.
import package::lib::raw::raw_u32;
import package::lib::repack::k_quants::two_bit_run;
import package::lib::repack::planes::high;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 1u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  let block = group * 84u;
  high[place] = raw_u32(block + 80u);
  for (var j = 0u; j < 4u; j++) {
    scales[4u * place + j] = raw_u32(block + 4u * j);
  }
  for (var c = 0u; c < 8u; c++) {
    let words = two_bit_run(block + 16u + 32u * (c >> 2u), 2u * (c & 3u));
    quants[16u * place + 2u * c] = words.x;
    quants[16u * place + 2u * c + 1u] = words.y;
  }
}

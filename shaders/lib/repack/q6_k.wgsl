// Q6_K, 210 bytes: ql[128], qh[64], scales[16], d. Each half of 128 weights, runs 0–3 of 32, has 64 bytes of ql: runs 0 and 2
// in the nibbles of the first 32, runs 1 and 3 in those of the last; and 32 bytes of qh, a run at each shift.
import package::lib::raw::raw_u16;
import package::lib::raw::raw_u32;
import package::lib::repack::k_nibbles::split_nibbles;
import package::lib::repack::k_quants::two_bit_run;
import package::lib::repack::planes::high;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 1u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  let block = group * 210u;
  for (var j = 0u; j < 4u; j++) {
    scales[5u * place + j] = raw_u32(block + 192u + 4u * j);
    let run = 8u * place + 4u * (j >> 1u) + (j & 1u);
    split_nibbles(block + 32u * j, run, run + 2u);
  }
  scales[5u * place + 4u] = raw_u16(block + 208u);
  for (var c = 0u; c < 8u; c++) {
    let words = two_bit_run(block + 128u + 32u * (c >> 2u), 2u * (c & 3u));
    high[16u * place + 2u * c] = words.x;
    high[16u * place + 2u * c + 1u] = words.y;
  }
}

// Blocks of 18 bytes: d, qs[16]. Q4_0 and IQ4_NL.
import package::lib::raw::raw_u32;
import package::lib::repack::half_pairs::half_pair;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;

fn repack_d_nibbles(group: u32, place: u32, blocks: u32) {
  scales[place] = half_pair(group, blocks, 18u, 0u);
  for (var i = 0u; i < min(2u, blocks - 2u * group); i++) {
    for (var j = 0u; j < 4u; j++) {
      quants[(2u * place + i) * 4u + j] = raw_u32((2u * group + i) * 18u + 2u + 4u * j);
    }
  }
}

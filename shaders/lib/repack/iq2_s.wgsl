// IQ2_S, 82 bytes: d, qs[32], signs[32], qh[8], scales[8]; per 32 weights four bytes of qs and of signs, one of qh and scales.
import package::lib::bit_plane::interleave_bits;
import package::lib::raw::raw_u32;
import package::lib::raw::raw_u8;
import package::lib::repack::half_pairs::half_pair;
import package::lib::repack::planes::high;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 2u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  scales[place] = half_pair(group, blocks, 82u, 0u);
  for (var i = 0u; i < min(2u, blocks - 2u * group); i++) {
    let block = (2u * group + i) * 82u;
    for (var c = 0u; c < 8u; c++) {
      let chunk = (2u * place + i) * 8u + c;
      quants[2u * chunk] = raw_u32(block + 2u + 4u * c);
      quants[2u * chunk + 1u] = interleave_bits(raw_u32(block + 34u + 4u * c));
    }
    for (var j = 0u; j < 4u; j++) {
      let qh = vec2u(raw_u8(block + 66u + 2u * j), raw_u8(block + 67u + 2u * j));
      let scale = vec2u(raw_u8(block + 74u + 2u * j), raw_u8(block + 75u + 2u * j));
      let both = qh | (scale << vec2u(8u));
      high[(2u * place + i) * 4u + j] = both.x | (both.y << 16u);
    }
  }
}

// IQ2_XS, 74 bytes: d, per 8 weights a 16-bit word (9 bits of index, 7 signs), eight bytes of 4-bit scales.
import package::lib::raw::raw_u32;
import package::lib::repack::half_pairs::half_pair;
import package::lib::repack::planes::high;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;
import package::lib::repack::signs::sign_word;

const BLOCKS_PER_GROUP = 2u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  scales[place] = half_pair(group, blocks, 74u, 0u);
  for (var i = 0u; i < min(2u, blocks - 2u * group); i++) {
    let block = (2u * group + i) * 74u;
    for (var j = 0u; j < 2u; j++) {
      high[(2u * place + i) * 2u + j] = raw_u32(block + 66u + 4u * j);
    }
    for (var c = 0u; c < 8u; c++) {
      let a = raw_u32(block + 2u + 8u * c);
      let b = raw_u32(block + 6u + 8u * c);
      let words = vec4u(a & 0xffffu, a >> 16u, b & 0xffffu, b >> 16u);
      let low = (words & vec4u(0xffu)) << vec4u(0u, 8u, 16u, 24u);
      let ninth = ((words >> vec4u(8u)) & vec4u(1u)) << vec4u(0u, 1u, 2u, 3u);
      let chunk = (2u * place + i) * 8u + c;
      quants[2u * chunk] = low.x | low.y | low.z | low.w;
      quants[2u * chunk + 1u] = sign_word(words >> vec4u(9u), ninth.x | ninth.y | ninth.z | ninth.w);
    }
  }
}

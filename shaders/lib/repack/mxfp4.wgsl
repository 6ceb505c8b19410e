// MXFP4, 17 bytes: e (E8M0), qs[16].
import package::lib::raw::raw_u32;
import package::lib::raw::raw_u8;
import package::lib::repack::planes::quants;
import package::lib::repack::planes::scales;

const BLOCKS_PER_GROUP = 4u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  var exponents = 0u;
  for (var i = 0u; i < min(4u, blocks - 4u * group); i++) {
    let block = (4u * group + i) * 17u;
    exponents |= raw_u8(block) << (8u * i);
    for (var j = 0u; j < 4u; j++) {
      quants[(4u * place + i) * 4u + j] = raw_u32(block + 1u + 4u * j);
    }
  }
  scales[place] = exponents;
}

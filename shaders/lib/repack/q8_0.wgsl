// Q8_0, 34 bytes: d, qs[32].
import package::lib::raw::raw_u16;
import package::lib::raw::raw_u32;

@group(1) @binding(0) var<storage, read_write> quants: array<u32>;
@group(1) @binding(2) var<storage, read_write> scales: array<u32>;

const BLOCKS_PER_GROUP = 2u;

fn repack_group(group: u32, place: u32, blocks: u32) {
  var d = 0u;
  for (var i = 0u; i < min(2u, blocks - 2u * group); i++) {
    let block = (2u * group + i) * 34u;
    d |= raw_u16(block) << (16u * i);
    for (var j = 0u; j < 8u; j++) {
      quants[(2u * place + i) * 8u + j] = raw_u32(block + 2u + 4u * j);
    }
  }
  scales[place] = d;
}

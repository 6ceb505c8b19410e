// Splits GGUF blocks into the planes of src/weights/quant-layout.ts, bit for bit.
//   raw: a piece of the tensor as in the file · quants, high, scales: the tensor's planes in words
//   one invocation repacks one group of blocks (as many as fill whole words in every plane)
//   `repack_group` is the module of the tensor's type; it gets the piece's group and the group's place in the planes
import package::lib::repack::repack_group;
import package::lib::repack::BLOCKS_PER_GROUP;

struct Params {
  // Blocks in this piece, and the group in the planes where it begins.
  blocks: u32,
  first_group: u32,
}

@group(1) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let group = id.x + id.y * groups.x * 64u;
  if (group * BLOCKS_PER_GROUP >= params.blocks) {
    return;
  }
  repack_group(group, params.first_group + group, params.blocks);
}

// Splits GGUF blocks into the planes of src/weights/quant-layout.ts, bit for bit.
//   raw: a piece of the tensor as in the file · quants, high, scales: the tensor's planes in words
//   one invocation repacks one group of blocks (as many as fill whole words in every plane)
//   A tensor may share a matrix with others: each `run` of its groups lies `gap` groups behind the one before.
//   `repack_group` is the module of the tensor's type; it gets the piece's group and the group's place in the planes
import package::lib::repack::repack_group;
import package::lib::repack::BLOCKS_PER_GROUP;

struct Params {
  // Blocks in this piece, and the group of the tensor where it begins.
  blocks: u32,
  first_group: u32,
  // In groups: the tensor's part of each slot, the other tensors' part, and where the first run begins in the planes.
  run: u32,
  gap: u32,
  offset: u32,
}

@group(1) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let group = id.x + id.y * groups.x * 64u;
  if (group * BLOCKS_PER_GROUP >= params.blocks) {
    return;
  }
  let place = params.first_group + group;
  repack_group(group, params.offset + place + (place / params.run) * params.gap, params.blocks);
}

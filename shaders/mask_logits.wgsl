// logits[id] = LOWEST where bit id of the mask is 0: a token that may not come is no candidate while others may
//   mask [⌈count / 32⌉] u32, the lowest bit first · logits [count] f32
//   one invocation: one logit; grid: (⌈count / 64⌉)
import package::lib::step::halted;

struct Params {
  count: u32,
}

@group(1) @binding(0) var<storage, read> mask: array<u32>;
@group(1) @binding(1) var<storage, read_write> logits: array<f32>;
@group(1) @binding(2) var<uniform> params: Params;

// Finite: WGSL lets implementations assume that there are no infinities.
const LOWEST = -3.4e38;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (halted()) {
    return;
  }
  if (id.x >= params.count) {
    return;
  }
  if (((mask[id.x / 32u] >> (id.x % 32u)) & 1u) == 0u) {
    logits[id.x] = LOWEST;
  }
}

// The candidate of the largest logit (ties: the smaller id), as the token that the next step reads.
//   list: the output of top_k_collect.wgsl, with `capacity` places · token [1] u32
//   one workgroup; a lane looks at every LANES-th candidate
import package::lib::step::halted;
import constants::LANES;

struct Params {
  capacity: u32,
}

@group(1) @binding(0) var<storage, read> list: array<u32>;
@group(1) @binding(1) var<storage, read_write> token: array<u32>;
@group(1) @binding(2) var<uniform> params: Params;

const HEADER = 4u;
const NOTHING = 0xffffffffu;

var<workgroup> best_logit: array<f32, LANES>;
var<workgroup> best_id: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  if (halted()) {
    return;
  }
  let count = min(list[0] + list[1], params.capacity);
  var logit = -3.4e38;
  var id = NOTHING;
  for (var i = lane; i < count; i += u32(LANES)) {
    let next = bitcast<f32>(list[HEADER + params.capacity + i]);
    let next_id = list[HEADER + i];
    if (next > logit || (next == logit && next_id < id)) {
      logit = next;
      id = next_id;
    }
  }
  best_logit[lane] = logit;
  best_id[lane] = id;
  for (var half = u32(LANES) / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      let other = best_logit[lane + half];
      let other_id = best_id[lane + half];
      if (other > best_logit[lane] || (other == best_logit[lane] && other_id < best_id[lane])) {
        best_logit[lane] = other;
        best_id[lane] = other_id;
      }
    }
  }
  if (lane == 0u) {
    token[0] = best_id[0];
  }
}

// logits[id] = (logit > 0 ? logit / scale : logit · scale) + shift, for a sparse list of ids
//   list: count, then per entry id, scale and shift (as f32 bits)
//   one invocation: one entry; grid: (⌈capacity / 64⌉)
import package::lib::step::halted;

struct Params {
  capacity: u32,
}

@group(1) @binding(0) var<storage, read> list: array<u32>;
@group(1) @binding(1) var<storage, read_write> logits: array<f32>;
@group(1) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (halted()) {
    return;
  }
  if (id.x >= min(list[0], params.capacity)) {
    return;
  }
  let token = list[1u + 3u * id.x];
  let scale = bitcast<f32>(list[2u + 3u * id.x]);
  let shift = bitcast<f32>(list[3u + 3u * id.x]);
  let logit = logits[token];
  logits[token] = select(logit * scale, logit / scale, logit > 0.0) + shift;
}

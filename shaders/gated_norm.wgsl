// y[t, h, d] = rms(o[t, h, ·], w)[d] · silu(z[t, h, d])
//   o, z, y [T·Hv, D] f32 · w [D] f32
//   workgroup: one head of one t, D / 4 lanes; grid: (T·Hv)
//   source: qwen35.md §2.2, step 7
import package::lib::activations::silu;
import package::lib::reduce::workgroup_sum;
import package::lib::step::halted;
import constants::LANES;

struct Params {
  eps: f32,
}

@group(1) @binding(0) var<storage, read> o: array<vec4f>;
@group(1) @binding(1) var<storage, read> z: array<vec4f>;
@group(1) @binding(2) var<storage, read> weight: array<vec4f>;
@group(1) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(1) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (halted()) {
    return;
  }
  let at = group.x * u32(LANES) + lane;
  let v = o[at];
  let mean = workgroup_sum(dot(v, v), lane) / f32(LANES * 4);
  y[at] = v * (1.0 / sqrt(mean + params.eps)) * weight[lane] * silu(z[at]);
}

// y[t, h, d] = rms(o[t, h, ·], w)[d] · silu(z[t, h, d])
//   o, y [T, Hv, D] f32 · z: Hv·D floats of a row of projections · w [D] f32
//   workgroup: one head of one t, D / 4 lanes; grid: (Hv, T)
//   source: qwen35.md §2.2, step 7
import package::lib::activations::silu;
import package::lib::reduce::workgroup_sum;
import package::lib::step::halted;
import constants::LANES;

struct Params {
  // In vec4s: a row of projections, and where z begins in it.
  stride: u32,
  first: u32,
  eps: f32,
}

@group(1) @binding(0) var<storage, read> o: array<vec4f>;
@group(1) @binding(1) var<storage, read> z: array<vec4f>;
@group(1) @binding(2) var<storage, read> weight: array<vec4f>;
@group(1) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(1) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  if (halted()) {
    return;
  }
  let column = group.x * u32(LANES) + lane;
  let at = group.y * groups.x * u32(LANES) + column;
  let v = o[at];
  let mean = workgroup_sum(dot(v, v), lane) / f32(LANES * 4);
  y[at] = v * (1.0 / sqrt(mean + params.eps)) * weight[lane] * silu(z[group.y * params.stride + params.first + column]);
}

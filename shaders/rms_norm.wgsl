// y[t, c] = x[first + t, c] / sqrt(mean_c(x²) + eps) · w[c]
//   x [.., columns] f32 · w [columns] f32 · y [T, columns] f32
//   workgroup: one row; lanes stride over columns
//   source: qwen35.md §2
import package::lib::reduce::workgroup_sum;
import package::lib::step::halted;
import constants::LANES;

struct Params {
  // In vec4s.
  columns: u32,
  first: u32,
  eps: f32,
}

@group(1) @binding(0) var<storage, read> x: array<vec4f>;
@group(1) @binding(1) var<storage, read> weight: array<vec4f>;
@group(1) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(1) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (halted()) {
    return;
  }
  let x_at = (params.first + group.x) * params.columns;
  let y_at = group.x * params.columns;
  var square = 0.0;
  for (var c = lane; c < params.columns; c += u32(LANES)) {
    let v = x[x_at + c];
    square += dot(v, v);
  }
  let mean = workgroup_sum(square, lane) / f32(params.columns * 4u);
  let scale = 1.0 / sqrt(mean + params.eps);
  for (var c = lane; c < params.columns; c += u32(LANES)) {
    y[y_at + c] = x[x_at + c] * scale * weight[c];
  }
}

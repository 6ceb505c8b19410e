// y[t, c] = (x[t, c] - mean_c(x)) / sqrt(var_c(x) + eps) · w[c] + b[c]
//   x [T, x_stride] f32 · w, b [columns] f32 · y [T, y_stride] f32; what lies beyond the columns of a row is left alone
//   workgroup: one row; lanes stride over columns; the variance is of the differences, since squares of large means cancel
//   source: qwen35.md §7
import package::lib::reduce::workgroup_sum;
import constants::LANES;

struct Params {
  // In vec4s.
  columns: u32,
  x_stride: u32,
  y_stride: u32,
  eps: f32,
}

@group(1) @binding(0) var<storage, read> x: array<vec4f>;
// w [columns], then b [columns].
@group(1) @binding(1) var<storage, read> affine: array<vec4f>;
@group(1) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(1) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let x_at = group.x * params.x_stride;
  let y_at = group.x * params.y_stride;
  let count = f32(params.columns * 4u);
  var sum = 0.0;
  for (var c = lane; c < params.columns; c += u32(LANES)) {
    sum += dot(x[x_at + c], vec4f(1.0));
  }
  let mean = workgroup_sum(sum, lane) / count;
  var square = 0.0;
  for (var c = lane; c < params.columns; c += u32(LANES)) {
    let v = x[x_at + c] - mean;
    square += dot(v, v);
  }
  let scale = 1.0 / sqrt(workgroup_sum(square, lane) / count + params.eps);
  for (var c = lane; c < params.columns; c += u32(LANES)) {
    y[y_at + c] = (x[x_at + c] - mean) * scale * affine[c] + affine[params.columns + c];
  }
}

// What an MTP block reads: y[t] = concat(rms(e[t], embedding_norm), rms(h[t], hidden_norm))
//   residual: h is the main model's residual stream, of which the hidden state is rms(h[t], output_norm)
//   e, h [T, columns] f32 · norms [columns] f32 · y [T, 2·columns] f32
//   workgroup: one half of one row; lanes stride over columns; grid: (2, T)
//   source: qwen35.md §8
import package::lib::reduce::workgroup_sum;
import package::lib::step::halted;
import constants::LANES;

struct Params {
  // In vec4s.
  columns: u32,
  eps: f32,
}

@group(1) @binding(0) var<storage, read> e: array<vec4f>;
@group(1) @binding(1) var<storage, read> h: array<vec4f>;
@group(1) @binding(2) var<storage, read> embedding_norm: array<vec4f>;
@group(1) @binding(3) var<storage, read> hidden_norm: array<vec4f>;
@group(1) @binding(4) var<storage, read_write> y: array<vec4f>;
@group(1) @binding(5) var<uniform> params: Params;
@if(residual) @group(1) @binding(6) var<storage, read> output_norm: array<vec4f>;

fn norm_scale(squares: f32, lane: u32) -> f32 {
  return 1.0 / sqrt(workgroup_sum(squares, lane) / f32(params.columns * 4u) + params.eps);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (halted()) {
    return;
  }
  let t = group.y;
  let x_at = t * params.columns;
  let y_at = (2u * t + group.x) * params.columns;
  if (group.x == 0u) {
    var squares = 0.0;
    for (var c = lane; c < params.columns; c += u32(LANES)) {
      squares += dot(e[x_at + c], e[x_at + c]);
    }
    let scale = norm_scale(squares, lane);
    for (var c = lane; c < params.columns; c += u32(LANES)) {
      y[y_at + c] = e[x_at + c] * scale * embedding_norm[c];
    }
    return;
  }
  var inner = 1.0;
  @if(residual) {
    var squares = 0.0;
    for (var c = lane; c < params.columns; c += u32(LANES)) {
      squares += dot(h[x_at + c], h[x_at + c]);
    }
    inner = norm_scale(squares, lane);
  }
  var squares_of_hidden = 0.0;
  for (var c = lane; c < params.columns; c += u32(LANES)) {
    var v = h[x_at + c] * inner;
    @if(residual) v *= output_norm[c];
    y[y_at + c] = v;
    squares_of_hidden += dot(v, v);
  }
  let scale = norm_scale(squares_of_hidden, lane);
  for (var c = lane; c < params.columns; c += u32(LANES)) {
    y[y_at + c] *= scale * hidden_norm[c];
  }
}

// x[t, c] = W[tokens[t], c]
//   W quantised [vocabulary, 32·chunks] · tokens [T] u32 · x [T, 32·chunks] f32
//   one invocation: one chunk of 32 columns of one t; grid: (⌈chunks / 64⌉, T)
//   rows outside first_row … first_row + rows are another binding's, whose dispatch writes them
import package::lib::weights::load_weights;

struct Params {
  chunks: u32,
  first_row: u32,
  rows: u32,
}

@group(1) @binding(4) var<storage, read> tokens: array<u32>;
@group(1) @binding(5) var<storage, read_write> x: array<vec4f>;
@group(1) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let t = id.y;
  let row = tokens[t] - params.first_row;
  if (id.x >= params.chunks || row >= params.rows) {
    return;
  }
  let w = load_weights(row * params.chunks + id.x);
  for (var i = 0u; i < 8u; i++) {
    x[(t * params.chunks + id.x) * 8u + i] = w[i];
  }
}

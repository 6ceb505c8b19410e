// x[t, c] += Σ_k weights[t, k] · routed[t·K + k, c] + sigmoid(gate[t]) · shared[t, c]
//   routed [T·K, H] f32 · weights [T, K] f32 · shared [T, H] f32 · gate [T] f32 · x [T, H] f32
//   one invocation: four columns of one t; grid: (⌈H / 4 / 64⌉, T)
//   source: qwen35.md §2.3
import package::lib::activations::sigmoid;
import package::lib::step::halted;

struct Params {
  // In vec4s.
  columns: u32,
  top_k: u32,
}

@group(1) @binding(0) var<storage, read> routed: array<vec4f>;
@group(1) @binding(1) var<storage, read> weights: array<f32>;
@group(1) @binding(2) var<storage, read> shared_out: array<vec4f>;
@group(1) @binding(3) var<storage, read> gate: array<f32>;
@group(1) @binding(4) var<storage, read_write> x: array<vec4f>;
@group(1) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (halted()) {
    return;
  }
  let t = id.y;
  if (id.x >= params.columns) {
    return;
  }
  var sum = sigmoid(gate[t]) * shared_out[t * params.columns + id.x];
  for (var k = 0u; k < params.top_k; k++) {
    let pair = t * params.top_k + k;
    sum += weights[pair] * routed[pair * params.columns + id.x];
  }
  x[t * params.columns + id.x] += sum;
}

// x[t, c] += Σ_k weights[t, k] · routed[t·K + k, c] + weights[t, K] · shared[t, c]
//   routed [T·K, H] f32 · weights [T, K + 1] f32 · shared [T, H] f32 · x [T, H] f32
//   one invocation: four columns of one t; grid: (⌈H / 4 / 64⌉, T)
//   source: qwen35.md §2.3
import package::lib::step::halted;

struct Params {
  // In vec4s.
  columns: u32,
  top_k: u32,
}

@group(1) @binding(0) var<storage, read> routed: array<vec4f>;
@group(1) @binding(1) var<storage, read> weights: array<f32>;
@group(1) @binding(2) var<storage, read> shared_out: array<vec4f>;
@group(1) @binding(3) var<storage, read_write> x: array<vec4f>;
@group(1) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (halted()) {
    return;
  }
  let t = id.y;
  if (id.x >= params.columns) {
    return;
  }
  let weights_at = t * (params.top_k + 1u);
  var sum = weights[weights_at + params.top_k] * shared_out[t * params.columns + id.x];
  for (var k = 0u; k < params.top_k; k++) {
    sum += weights[weights_at + k] * routed[(t * params.top_k + k) * params.columns + id.x];
  }
  x[t * params.columns + id.x] += sum;
}

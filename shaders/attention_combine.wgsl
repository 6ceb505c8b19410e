// Merges the splits of attention and applies the gate:
//   y[t, h, d] = (Σ_s exp(m_s − m) · o_s[d]) / (Σ_s exp(m_s − m) · l_s) · sigmoid(gate[t, h, d])
//   partials [splits, T, n_head, D] f32 · sums [splits, T, n_head] (m, l) · qg [T, n_head, 2·D] · y [T, n_head, D] f32
//   workgroup: one head of one t, D / 4 lanes; grid: (T·n_head)
//   source: qwen35.md §2.1
import package::lib::activations::sigmoid4;
import package::lib::step::halted;
import constants::LANES;

struct Params {
  splits: u32,
}

@group(1) @binding(0) var<storage, read> partials: array<vec4f>;
@group(1) @binding(1) var<storage, read> sums: array<vec2f>;
@group(1) @binding(2) var<storage, read> qg: array<vec4f>;
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
  var m = sums[group.x].x;
  for (var s = 1u; s < params.splits; s++) {
    m = max(m, sums[s * groups.x + group.x].x);
  }
  var total = 0.0;
  var o = vec4f(0.0);
  for (var s = 0u; s < params.splits; s++) {
    let row = s * groups.x + group.x;
    let factor = exp(sums[row].x - m);
    total += factor * sums[row].y;
    o += factor * partials[row * u32(LANES) + lane];
  }
  let gate = qg[(2u * group.x + 1u) * u32(LANES) + lane];
  y[group.x * u32(LANES) + lane] = o / total * sigmoid4(gate);
}

// y[t, c] = silu(gate[t, c]) · up[t, c]
//   gate_up [T, 2·columns] f32: a row of gates, then a row of ups · y [T, columns] f32
//   one invocation: four columns; grid: (⌈T·columns / 4 / 64⌉ folded over x and y)
//   source: qwen35.md §2.3
import package::lib::activations::silu;
import package::lib::step::halted;

struct Params {
  // In vec4s.
  columns: u32,
  count: u32,
}

@group(1) @binding(0) var<storage, read> gate_up: array<vec4f>;
@group(1) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(1) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  if (halted()) {
    return;
  }
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.count) {
    return;
  }
  let gate_at = i + (i / params.columns) * params.columns;
  y[i] = silu(gate_up[gate_at]) * gate_up[gate_at + params.columns];
}

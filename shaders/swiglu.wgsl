// y[t, c] = silu(gate[t, c]) · up[t, c]
//   gate and up lie in one buffer or two: row t of gate begins at t·gate_stride, of up at up_offset + t·up_stride
//   one invocation: four columns; y [T, columns] f32; grid: (⌈T·columns / 4 / 64⌉ folded over x and y)
//   source: qwen35.md §2.3
import package::lib::activations::silu;
import package::lib::step::halted;

struct Params {
  // All in vec4s.
  columns: u32,
  count: u32,
  gate_stride: u32,
  up_stride: u32,
  up_offset: u32,
}

@group(1) @binding(0) var<storage, read> gate: array<vec4f>;
@group(1) @binding(1) var<storage, read> up: array<vec4f>;
@group(1) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(1) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  if (halted()) {
    return;
  }
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.count) {
    return;
  }
  let t = i / params.columns;
  let c = i % params.columns;
  y[i] = silu(gate[t * params.gate_stride + c]) * up[params.up_offset + t * params.up_stride + c];
}

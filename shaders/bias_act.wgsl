// x[t, c] = act(x[t, c] + b[c]) in place; act is nothing, GELU by tanh, or GELU by erf
//   x [T, stride] f32 · b f32
//   one invocation: four columns; grid: (⌈T·columns / 4 / 64⌉ folded over x and y)
//   source: qwen35.md §7
import package::lib::activations::sigmoid4;

struct Params {
  // In vec4s.
  columns: u32,
  stride: u32,
  count: u32,
  // Where this product's bias begins.
  bias_at: u32,
}

@group(1) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(1) @binding(1) var<storage, read> bias: array<vec4f>;
@group(1) @binding(2) var<uniform> params: Params;

@if(gelu_tanh) const SQRT_8_BY_PI = 1.5957691216057308;

// x · (1 + tanh(u)) / 2 = x · sigmoid(2u): a tanh by exponentials would overflow.
@if(gelu_tanh)
fn act(v: vec4f) -> vec4f {
  return v * sigmoid4(SQRT_8_BY_PI * (v + 0.044715 * v * v * v));
}

@if(gelu_erf) const SQRT_HALF = 0.7071067811865476;

// erf by Abramowitz and Stegun 7.1.26: off by at most 1.5e-7. exp of less than -80 is as good as 0.
@if(gelu_erf)
fn act(v: vec4f) -> vec4f {
  let z = abs(v) * SQRT_HALF;
  let t = 1.0 / (1.0 + 0.3275911 * z);
  let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let erf = 1.0 - series * exp(max(-z * z, vec4f(-80.0)));
  return 0.5 * v * (1.0 + sign(v) * erf);
}

@if(!gelu_tanh && !gelu_erf)
fn act(v: vec4f) -> vec4f {
  return v;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= params.count) {
    return;
  }
  let c = i % params.columns;
  let at = (i / params.columns) * params.stride + c;
  x[at] = act(x[at] + bias[params.bias_at + c]);
}

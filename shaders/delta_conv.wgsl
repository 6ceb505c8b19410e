// Gated DeltaNet, before the recurrence: causal convolution, SiLU, L2 norms and gates.
//   c[t, ch] = silu(Σ_{j=0..3} w[ch, j] · qkv[t − 3 + j, ch]), rows before the pass from conv_state[step.state]
//   q and k heads: c / sqrt(Σ c² + eps), q also · 1/sqrt(D); v heads: as is
//   gates[t, h] = (α, β) = (exp(a_h · softplus(alpha[t, h] + dt_h)), sigmoid(beta[t, h]))
//   qkv: a row of projections [q heads, k heads, v heads (C = (2·Hk + Hv)·D in all), z, alpha, beta] for each t · conv_state [states, 3, C] f32, oldest first
//   y [T, C] f32 · gates [T, Hv] vec2f
//   workgroup: one head of one t, D / 4 lanes, one vec4 each; grid: (2·Hk + Hv, T)
//   source: qwen35.md §2.2, steps 2, 3 and 5
import package::lib::activations::{sigmoid, silu, softplus};
import package::lib::reduce::workgroup_sum;
import package::lib::step::{halted, step};
import constants::LANES;

struct Params {
  key_heads: u32,
  value_heads: u32,
  // Floats of a row of projections.
  stride: u32,
  eps: f32,
}

@group(1) @binding(0) var<storage, read> qkv: array<vec4f>;
@group(1) @binding(1) var<storage, read> conv_state: array<vec4f>;
// One vec4 of taps per channel, oldest first.
@group(1) @binding(2) var<storage, read> weight: array<vec4f>;
// The same buffer, for alpha and beta.
@group(1) @binding(3) var<storage, read> alpha_beta: array<f32>;
// a, then dt.
@group(1) @binding(4) var<storage, read> decay: array<f32>;
@group(1) @binding(5) var<storage, read_write> y: array<vec4f>;
@group(1) @binding(6) var<storage, read_write> gates: array<vec2f>;
@group(1) @binding(7) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  if (halted()) {
    return;
  }
  let head = group.x;
  let t = group.y;
  let row = groups.x * u32(LANES); // C in vec4s
  let at = head * u32(LANES) + lane;
  var c = vec4f(0.0);
  for (var j = 0u; j < 4u; j++) {
    var input: vec4f;
    if (t + j < 3u) {
      input = conv_state[(3u * step.state + t + j) * row + at];
    } else {
      input = qkv[(t + j - 3u) * (params.stride / 4u) + at];
    }
    let taps = vec4f(weight[4u * at][j], weight[4u * at + 1u][j], weight[4u * at + 2u][j], weight[4u * at + 3u][j]);
    c += taps * input;
  }
  c = silu(c);
  let is_value = head >= 2u * params.key_heads;
  let square = workgroup_sum(dot(c, c), lane);
  if (!is_value) {
    c *= 1.0 / sqrt(square + params.eps);
    if (head < params.key_heads) {
      c *= 1.0 / sqrt(f32(LANES * 4));
    }
  } else if (lane == 0u) {
    let h = head - 2u * params.key_heads;
    let heads = params.value_heads;
    let alpha_at = t * params.stride + 4u * (row + heads * u32(LANES)) + h;
    let alpha = alpha_beta[alpha_at];
    let beta = alpha_beta[alpha_at + heads];
    gates[t * heads + h] = vec2f(exp(decay[h] * softplus(alpha + decay[heads + h])), sigmoid(beta));
  }
  y[t * row + at] = c;
}

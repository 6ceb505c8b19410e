// The gated delta rule over all tokens of a pass, the state in registers throughout:
//   S ← α·S;  δ = β·(v − Sᵀk);  S ← S + k δᵀ;  o = Sᵀq        S [D keys, D values] f32 per value head
//   qkv [T, C] f32 after delta_conv (q heads, k heads, v heads) · gates [T, Hv] (α, β) · o [T, Hv, D] f32
//   state [states, Hv, D values, D keys] f32: transposed, so that a lane's run of keys is contiguous; read from step.state.
//   States after the last `kept` tokens are written, the one k tokens before the end to place k: a later pass may go on from
//   any of them, so tokens that turn out wrong are taken back without a copy
//   value head h reads key head h % Hk
//   lane: one column (value) and D / SPLIT of its keys; SPLIT neighbours share a column and add by subgroup shuffles
//   grid: (⌈D·SPLIT / LANES⌉, Hv)
//   also moves the convolution's states on: the last three inputs at each of these places
//   source: qwen35.md §2.2, steps 4 and 6; arXiv 2412.06464
import package::lib::step::{halted, step};
import constants::{DIM, LANES, SPLIT};
@if(subgroups) enable subgroups;

const KEYS = DIM / SPLIT / 4; // vec4s of keys a lane holds

struct Params {
  tokens: u32,
  key_heads: u32,
  value_heads: u32,
  // At least 1, at most `tokens`.
  kept: u32,
}

@group(1) @binding(0) var<storage, read> qkv: array<vec4f>;
@group(1) @binding(1) var<storage, read> gates: array<vec2f>;
@group(1) @binding(2) var<storage, read_write> state: array<vec4f>;
@group(1) @binding(3) var<storage, read_write> o: array<f32>;
@group(1) @binding(4) var<storage, read> conv_input: array<vec4f>;
@group(1) @binding(5) var<storage, read_write> conv_state: array<vec4f>;
@group(1) @binding(6) var<uniform> params: Params;

fn column_sum(v: f32) -> f32 {
  var sum = v;
  @if(subgroups) {
    for (var mask = 1u; mask < u32(SPLIT); mask *= 2u) {
      sum += subgroupShuffleXor(sum, mask);
    }
  }
  return sum;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  if (halted()) {
    return;
  }
  let h = group.y;
  let column = (group.x * u32(LANES) + lane) / u32(SPLIT);
  let first = (lane % u32(SPLIT)) * u32(KEYS); // of this lane's keys, in vec4s
  let row = (2u * params.key_heads + params.value_heads) * u32(DIM / 4); // C in vec4s
  let q_at = (h % params.key_heads) * u32(DIM / 4) + first;
  let k_at = q_at + params.key_heads * u32(DIM / 4);
  let v_at = (2u * params.key_heads + h) * u32(DIM / 4) + column / 4u;
  let s_at = (h * u32(DIM) + column) * u32(DIM / 4) + first;

  let stride = params.value_heads * u32(DIM * DIM / 4); // of a state, in vec4s
  // Each lane reads its part of the old state before it writes the same part of others, so they may overlap.
  var s: array<vec4f, KEYS>;
  for (var i = 0u; i < u32(KEYS); i++) {
    s[i] = state[step.state * stride + s_at + i];
  }
  for (var t = 0u; t < params.tokens; t++) {
    let at = t * row;
    let gate = gates[t * params.value_heads + h];
    var recalled = vec4f(0.0);
    for (var i = 0u; i < u32(KEYS); i++) {
      recalled = fma(s[i], qkv[at + k_at + i], recalled);
    }
    // α·S is folded in: Sᵀk is linear in S.
    let recall = gate.x * column_sum(dot(recalled, vec4f(1.0)));
    let delta = gate.y * (qkv[at + v_at][column % 4u] - recall);
    var out = vec4f(0.0);
    for (var i = 0u; i < u32(KEYS); i++) {
      s[i] = fma(qkv[at + k_at + i], vec4f(delta), gate.x * s[i]);
      out = fma(s[i], qkv[at + q_at + i], out);
    }
    let total = column_sum(dot(out, vec4f(1.0)));
    if (first == 0u) {
      o[(t * params.value_heads + h) * u32(DIM) + column] = total;
    }
    let back = params.tokens - 1u - t;
    if (back < params.kept) {
      for (var i = 0u; i < u32(KEYS); i++) {
        state[back * stride + s_at + i] = s[i];
      }
    }
  }

  // delta_conv has read the old state in an earlier dispatch, so it may be replaced here.
  let invocation = (h * groups.x + group.x) * u32(LANES) + lane;
  for (var c = invocation; c < row; c += groups.x * groups.y * u32(LANES)) {
    var old: array<vec4f, 3>;
    for (var j = 0u; j < 3u; j++) {
      old[j] = conv_state[(3u * step.state + j) * row + c];
    }
    for (var back = 0u; back < params.kept; back++) {
      for (var j = 0u; j < 3u; j++) {
        let input = params.tokens - back + j;
        var value = old[min(input, 2u)];
        if (input >= 3u) {
          value = conv_input[(input - 3u) * row + c];
        }
        conv_state[(3u * back + j) * row + c] = value;
      }
    }
  }
}

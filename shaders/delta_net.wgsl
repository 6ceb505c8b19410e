// The gated delta rule over all tokens of a pass, the state in registers throughout:
//   S ← α·S;  δ = β·(v − Sᵀk);  S ← S + k δᵀ;  o = Sᵀq        S [D keys, D values] f32 per value head
//   qkv [T, C] f32 after delta_conv (q heads, k heads, v heads) · gates [T, Hv] (α, β) · o [T, Hv, D] f32
//   state [states, Hv, D values, D keys] f32: transposed, so that a lane's run of keys is contiguous; read from step.state.
//   States after the last `kept` tokens are written, the one k tokens before the end to place step.into + k: a later pass may go
//   on from any of them, so tokens that turn out wrong are taken back without a copy
//   value head h reads key head h % Hk
//   lane: one column (value) and D / SPLIT of its keys; SPLIT neighbours share a column and add by subgroup shuffles
//   shared: the workgroup is one subgroup, which loads k and q once and passes them round: where a load costs as much as tens of
//   multiply-adds, as on lavapipe
//   grid: (⌈D·SPLIT / LANES⌉, Hv)
//   also moves the convolution's states on: the last three inputs at each of these places
//   source: qwen35.md §2.2, steps 4 and 6; arXiv 2412.06464
import package::lib::delta_rule::{gates, move_conv_states, o, params, qkv, state};
import package::lib::step::{halted, step};
import constants::{DIM, LANES, SPLIT};
@if(subgroups) enable subgroups;

const KEYS = DIM / SPLIT / 4; // vec4s of keys a lane holds
@if(shared) const SHARE = KEYS / LANES; // vec4s of k and of q a lane loads

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
    @if(shared) var k_share: array<vec4f, SHARE>;
    @if(shared) var q_share: array<vec4f, SHARE>;
    @if(shared)
    for (var i = 0u; i < u32(SHARE); i++) {
      k_share[i] = qkv[at + k_at + lane * u32(SHARE) + i];
      q_share[i] = qkv[at + q_at + lane * u32(SHARE) + i];
    }
    var recalled = vec4f(0.0);
    for (var i = 0u; i < u32(KEYS); i++) {
      @if(shared) let k = subgroupShuffle(k_share[i % u32(SHARE)], i / u32(SHARE));
      @if(!shared) let k = qkv[at + k_at + i];
      recalled = fma(s[i], k, recalled);
    }
    // α·S is folded in: Sᵀk is linear in S.
    let recall = gate.x * column_sum(dot(recalled, vec4f(1.0)));
    let delta = gate.y * (qkv[at + v_at][column % 4u] - recall);
    var out = vec4f(0.0);
    for (var i = 0u; i < u32(KEYS); i++) {
      @if(shared) let k = subgroupShuffle(k_share[i % u32(SHARE)], i / u32(SHARE));
      @if(shared) let q = subgroupShuffle(q_share[i % u32(SHARE)], i / u32(SHARE));
      @if(!shared) let k = qkv[at + k_at + i];
      @if(!shared) let q = qkv[at + q_at + i];
      s[i] = fma(k, vec4f(delta), gate.x * s[i]);
      out = fma(s[i], q, out);
    }
    let total = column_sum(dot(out, vec4f(1.0)));
    if (first == 0u) {
      o[(t * params.value_heads + h) * u32(DIM) + column] = total;
    }
    let back = params.tokens - 1u - t;
    if (back < params.kept) {
      for (var i = 0u; i < u32(KEYS); i++) {
        state[(step.into + back) * stride + s_at + i] = s[i];
      }
    }
  }

  let invocation = (h * groups.x + group.x) * u32(LANES) + lane;
  move_conv_states(invocation, groups.x * groups.y * u32(LANES), row);
}

// The gated delta rule in chunks of tokens, so that all but one short step is products of matrices, with no token waiting for
// the one before. Over a chunk that begins with the state S, tokens i and j in it:
//   P_i = Π_{m ≤ i} α_m;  Γ_ij = Π_{j < m ≤ i} α_m
//   δ_i = β_i·(v_i − P_i·Sᵀk_i) − Σ_{j < i} A_ij·δ_j        A_ij = β_i·Γ_ij·(k_i·k_j)
//   o_i = P_i·Sᵀq_i + Σ_{j ≤ i} B_ij·δ_j                    B_ij = Γ_ij·(q_i·k_j)
//   S ← P_last·S + Σ_i Γ_last,i·k_i δ_iᵀ
//   Decays are multiplied up, never divided or taken from logarithms: they only shrink, and an α of 0 is no special case.
//   δ is found by forward substitution, which is (I + A)⁻¹ applied and not computed.
//   qkv, gates, o, state: as in delta_net.wgsl, but only the last state is written
//   workgroup: COLUMNS columns (values) of one head, its part of S in workgroup memory; CHUNK tokens at a time
//   grid: (D / COLUMNS, Hv)
//   source: qwen35.md §2.2; arXiv 2412.06464 §3.3
import package::lib::delta_rule::{gates, move_conv_states, o, params, qkv, state};
import package::lib::step::{halted, step};
import constants::{DIM};

const CHUNK = 32;
const COLUMNS = 32;
// Neighbours with the same token share its columns, and the tokens it is multiplied with.
const SIDE = 4;
const LANES = CHUNK * SIDE;
const EACH = CHUNK / SIDE; // also COLUMNS / SIDE
const KEYS = DIM / 4; // vec4s
const PITCH = KEYS + 1; // a vec4 more, so that neighbouring columns lie on different banks

var<workgroup> s: array<vec4f, COLUMNS * PITCH>; // [column][key]
var<workgroup> a: array<f32, CHUNK * CHUNK>; // [j][i], 0 for j ≥ i
var<workgroup> b: array<f32, CHUNK * CHUNK>; // [j][i], 0 for j > i
var<workgroup> delta: array<f32, CHUNK * COLUMNS>; // [token][column]
var<workgroup> gate: array<vec2f, CHUNK>; // α, β
var<workgroup> decay: array<f32, CHUNK>; // P_i
var<workgroup> left: array<f32, CHUNK>; // Γ_last,i

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
  let first_column = group.x * u32(COLUMNS);
  let row = (2u * params.key_heads + params.value_heads) * u32(KEYS); // of qkv, in vec4s
  let q_at = (h % params.key_heads) * u32(KEYS);
  let k_at = q_at + params.key_heads * u32(KEYS);
  let v_at = (2u * params.key_heads + h) * u32(KEYS) + first_column / 4u;
  let s_at = (h * u32(DIM) + first_column) * u32(KEYS);
  let stride = params.value_heads * u32(DIM * KEYS); // of a state

  for (var n = lane; n < u32(COLUMNS * KEYS); n += u32(LANES)) {
    s[(n / u32(KEYS)) * u32(PITCH) + n % u32(KEYS)] = state[step.state * stride + s_at + n];
  }
  let i = lane / u32(SIDE); // this lane's token of the chunk
  let side = lane % u32(SIDE);
  for (var start = 0u; start < params.tokens; start += u32(CHUNK)) {
    // Tokens behind the end forget nothing and write nothing.
    if (lane < u32(CHUNK)) {
      let here = start + lane < params.tokens;
      let at = min(start + lane, params.tokens - 1u) * params.value_heads + h;
      gate[lane] = select(vec2f(1.0, 0.0), gates[at], here);
    }
    workgroupBarrier();
    if (lane < u32(CHUNK)) {
      var product = 1.0;
      for (var m = 0u; m <= lane; m++) {
        product *= gate[m].x;
      }
      decay[lane] = product;
      product = 1.0;
      for (var m = lane; m < u32(CHUNK); m++) {
        if (m > lane) {
          product *= gate[m].x;
        }
        b[lane * u32(CHUNK) + m] = product; // Γ for now
      }
      left[lane] = product;
    }
    workgroupBarrier();

    let token = min(start + i, params.tokens - 1u) * row;
    var kk = array<f32, EACH>(); // lavapipe keeps the last round's without
    var qk = array<f32, EACH>();
    var recalled = array<f32, EACH>();
    var out = array<f32, EACH>();
    for (var d = 0u; d < u32(KEYS); d++) {
      let k = qkv[token + k_at + d];
      let q = qkv[token + q_at + d];
      for (var e = 0u; e < u32(EACH); e++) {
        let n = side + e * u32(SIDE); // a token j, and a column
        let other = qkv[min(start + n, params.tokens - 1u) * row + k_at + d];
        kk[e] += dot(k, other);
        qk[e] += dot(q, other);
        let column = s[n * u32(PITCH) + d];
        recalled[e] += dot(k, column);
        out[e] += dot(q, column);
      }
    }
    var own = array<f32, EACH>(); // δ of this lane's token, of which those of earlier tokens are still to be taken
    for (var e = 0u; e < u32(EACH); e++) {
      let n = side + e * u32(SIDE);
      let gamma = b[n * u32(CHUNK) + i];
      a[n * u32(CHUNK) + i] = select(0.0, gate[i].y * gamma * kk[e], n < i);
      b[n * u32(CHUNK) + i] = select(0.0, gamma * qk[e], n <= i);
      let v = qkv[token + v_at + n / 4u][n % 4u];
      own[e] = gate[i].y * (v - decay[i] * recalled[e]);
      out[e] *= decay[i];
    }
    for (var j = 0u; j < u32(CHUNK); j++) {
      if (i == j) {
        for (var e = 0u; e < u32(EACH); e++) {
          delta[j * u32(COLUMNS) + side + e * u32(SIDE)] = own[e];
        }
      }
      workgroupBarrier();
      let a_ij = a[j * u32(CHUNK) + i];
      let b_ij = b[j * u32(CHUNK) + i];
      for (var e = 0u; e < u32(EACH); e++) {
        let d = delta[j * u32(COLUMNS) + side + e * u32(SIDE)];
        own[e] -= a_ij * d;
        out[e] += b_ij * d;
      }
    }
    if (start + i < params.tokens) {
      for (var e = 0u; e < u32(EACH); e++) {
        let column = first_column + side + e * u32(SIDE);
        o[((start + i) * params.value_heads + h) * u32(DIM) + column] = out[e];
      }
    }
    // A lane some keys of every (LANES / KEYS)-th column.
    for (var n = lane; n < u32(COLUMNS * KEYS); n += u32(LANES)) {
      let column = n / u32(KEYS);
      let key = n % u32(KEYS);
      var sum = decay[CHUNK - 1] * s[column * u32(PITCH) + key];
      for (var m = 0u; m < min(u32(CHUNK), params.tokens - start); m++) {
        sum = fma(qkv[(start + m) * row + k_at + key], vec4f(left[m] * delta[m * u32(COLUMNS) + column]), sum);
      }
      s[column * u32(PITCH) + key] = sum;
    }
    workgroupBarrier();
  }
  for (var n = lane; n < u32(COLUMNS * KEYS); n += u32(LANES)) {
    state[step.into * stride + s_at + n] = s[(n / u32(KEYS)) * u32(PITCH) + n % u32(KEYS)];
  }
  let invocation = (h * groups.x + group.x) * u32(LANES) + lane;
  move_conv_states(invocation, groups.x * groups.y * u32(LANES), row);
}

// y[t, head] = Σ_s softmax_s(q[t, head] · k[s, head] · scale) v[s, head], over all s
//   q, y: queries of this dispatch [Tq, stride] f32 · k, v [T, stride] f32; heads of D = 4·VECS side by side
//   workgroup: one head, QUERIES queries, a lane each: its query, its maximum, its sum and its output stay in registers while
//   keys and values pass by in tiles of workgroup memory, which all lanes read at the same place
//   grid: (⌈Tq / QUERIES⌉, heads)
//   Scores are taken KEYS at a time, so that the output is rescaled once per KEYS keys; no T × T memory.
//   source: qwen35.md §7; the online softmax is FlashAttention's
import constants::{VECS, QUERIES, KEYS};

struct Params {
  queries: u32,
  keys: u32,
  // In vec4s.
  stride: u32,
  scale: f32,
  // VECS and KEYS.
  vecs: u32,
  keys_at_once: u32,
}

@group(1) @binding(0) var<storage, read> q: array<vec4f>;
@group(1) @binding(1) var<storage, read> k: array<vec4f>;
@group(1) @binding(2) var<storage, read> v: array<vec4f>;
@group(1) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(1) @binding(4) var<uniform> params: Params;

// Lower than any score: exp of it is 0.
const MASKED = -1e30;

@if(!in_memory) var<workgroup> k_tile: array<vec4f, KEYS * VECS>;
@if(!in_memory) var<workgroup> v_tile: array<vec4f, KEYS * VECS>;
@if(!in_memory) var<private> query: array<vec4f, VECS>;
@if(!in_memory) var<private> acc: array<vec4f, VECS>;
@if(!in_memory) var<private> weights: array<f32, KEYS>;
// Software adapters turn an array of registers into a tree of branches: they keep it in memory, and need no tiles.
@if(in_memory) var<workgroup> query: array<vec4f, QUERIES * VECS>;
@if(in_memory) var<workgroup> acc: array<vec4f, QUERIES * VECS>;
@if(in_memory) var<workgroup> weights: array<f32, QUERIES * KEYS>;

@compute @workgroup_size(QUERIES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let t = group.x * u32(QUERIES) + lane;
  let head_at = group.y * u32(VECS);
  let q_at = min(t, params.queries - 1u) * params.stride + head_at;
  // Bounds that are known only at run time keep software adapters from unrolling the loops, which takes them a minute.
  var vecs = u32(VECS);
  var keys = u32(KEYS);
  @if(in_memory) {
    vecs = params.vecs;
    keys = params.keys_at_once;
  }
  // Where this lane's vectors and weights begin.
  var mine = 0u;
  var mine_weights = 0u;
  @if(in_memory) {
    mine = lane * u32(VECS);
    mine_weights = lane * u32(KEYS);
  }
  for (var d = 0u; d < vecs; d++) {
    query[mine + d] = q[q_at + d] * params.scale;
    acc[mine + d] = vec4f(0.0);
  }
  var most = MASKED;
  var total = 0.0;
  for (var first = 0u; first < params.keys; first += keys) {
    @if(!in_memory) {
      workgroupBarrier();
      for (var i = lane; i < u32(KEYS * VECS); i += u32(QUERIES)) {
        let at = min(first + i / u32(VECS), params.keys - 1u) * params.stride + head_at + i % u32(VECS);
        k_tile[i] = k[at];
        v_tile[i] = v[at];
      }
      workgroupBarrier();
    }
    var now = most;
    for (var j = 0u; j < keys; j++) {
      var dots = vec4f(0.0);
      let key_at = min(first + j, params.keys - 1u) * params.stride + head_at;
      for (var d = 0u; d < vecs; d++) {
        @if(in_memory) let key = k[key_at + d];
        @if(!in_memory) let key = k_tile[j * u32(VECS) + d];
        dots = fma(query[mine + d], key, dots);
      }
      let score = select(MASKED, dot(dots, vec4f(1.0)), first + j < params.keys);
      weights[mine_weights + j] = score;
      now = max(now, score);
    }
    let factor = exp(max(most - now, -80.0));
    total *= factor;
    for (var d = 0u; d < vecs; d++) {
      acc[mine + d] *= factor;
    }
    most = now;
    for (var j = 0u; j < keys; j++) {
      let score = weights[mine_weights + j];
      let weight = select(exp(max(score - most, -80.0)), 0.0, first + j >= params.keys);
      total += weight;
      let key_at = min(first + j, params.keys - 1u) * params.stride + head_at;
      for (var d = 0u; d < vecs; d++) {
        @if(in_memory) let value = v[key_at + d];
        @if(!in_memory) let value = v_tile[j * u32(VECS) + d];
        acc[mine + d] = fma(vec4f(weight), value, acc[mine + d]);
      }
    }
  }
  if (t < params.queries) {
    for (var d = 0u; d < vecs; d++) {
      y[t * params.stride + head_at + d] = acc[mine + d] / total;
    }
  }
}

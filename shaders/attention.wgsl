// Causal attention of a tile of queries over one split of the keys, with online softmax:
//   score[j] = q · k_j / sqrt(D);  m = max_j score, l = Σ_j exp(score − m), o = Σ_j exp(score − m) · v_j
//   q [T, n_head, D] f32 · k_cache, v_cache [n_kv, capacity, D]
//   out [splits, T, n_head, D] f32 (unnormalised) · sums [splits, T, n_head] (m, l)
//   The r = n_head / n_kv query heads of a kv head and the T tokens form T·r rows that share keys and values.
//   workgroup: ROWS of these rows; D / 4 lanes. Per tile of D / 4 keys: a lane scores one key for all rows; then a lane
//   adds up one vec4 of v for all rows.
//   grid: (⌈T·r / ROWS⌉, kv heads of this binding, splits)
//   source: qwen35.md §2.1; online softmax: arXiv 1805.02867; splits: flash-decoding
import package::lib::kv_cache::unpack_kv;
import package::lib::step::{halted, step};
import constants::{LANES, ROWS};

const TILE = LANES; // keys
// Below any score, and far enough from f32's end that differences and exp's inner product with log2(e) stay finite.
const MASKED = -1.0e30;

struct Params {
  tokens: u32,
  heads: u32,
  kv_heads: u32,
  first_kv_head: u32,
  capacity: u32,
  split_length: u32,
  scale: f32,
}

@group(1) @binding(0) var<storage, read> q: array<vec4f>;
@if(!kv_f16) @group(1) @binding(1) var<storage, read> k_cache: array<vec4f>;
@if(!kv_f16) @group(1) @binding(2) var<storage, read> v_cache: array<vec4f>;
@if(kv_f16) @group(1) @binding(1) var<storage, read> k_cache: array<vec2u>;
@if(kv_f16) @group(1) @binding(2) var<storage, read> v_cache: array<vec2u>;
@group(1) @binding(3) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(4) var<storage, read_write> sums: array<vec2f>;
@group(1) @binding(5) var<uniform> params: Params;

var<workgroup> queries: array<vec4f, ROWS * LANES>;
var<workgroup> weights: array<f32, ROWS * TILE>;
var<workgroup> rescale: array<f32, ROWS>;
var<workgroup> maxima: array<f32, ROWS>;
var<workgroup> totals: array<f32, ROWS>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (halted()) {
    return;
  }
  let share = params.heads / params.kv_heads;
  let rows = params.tokens * share;
  let first_row = group.x * u32(ROWS);
  let kv_head = params.first_kv_head + group.y;
  let cache_at = group.y * params.capacity * u32(LANES); // this binding begins at first_kv_head
  let split = group.z;
  // The last token of this tile of rows sees the most keys.
  let last_row = min(first_row + u32(ROWS), rows) - 1u;
  let end = min((split + 1u) * params.split_length, step.position + last_row / share + 1u);

  for (var r = 0u; r < u32(ROWS); r++) {
    let row = min(first_row + r, rows - 1u);
    let head = kv_head * share + row % share;
    queries[r * u32(LANES) + lane] = q[((row / share) * params.heads + head) * u32(LANES) + lane] * params.scale;
  }
  if (lane < u32(ROWS)) {
    maxima[lane] = MASKED;
    totals[lane] = 0.0;
  }
  var acc: array<vec4f, ROWS>;
  workgroupBarrier();

  for (var tile = split * params.split_length; tile < end; tile += u32(TILE)) {
    let key = tile + lane;
    // Zeroed in words: declared without a value, the array kept the last tile's scores on lavapipe (Mesa 25.0, Dawn 0.6.2).
    var score = array<f32, ROWS>();
    if (key < end) {
      for (var d = 0u; d < u32(LANES); d++) {
        let k = unpack_kv(k_cache[cache_at + key * u32(LANES) + d]);
        for (var r = 0u; r < u32(ROWS); r++) {
          score[r] += dot(k, queries[r * u32(LANES) + d]);
        }
      }
    }
    for (var r = 0u; r < u32(ROWS); r++) {
      let row = min(first_row + r, rows - 1u);
      let visible = key < end && key <= step.position + row / share;
      weights[r * u32(TILE) + lane] = select(MASKED, score[r], visible);
    }
    workgroupBarrier();
    if (lane < u32(ROWS)) {
      var m = maxima[lane];
      for (var j = 0u; j < u32(TILE); j++) {
        m = max(m, weights[lane * u32(TILE) + j]);
      }
      var sum = 0.0;
      for (var j = 0u; j < u32(TILE); j++) {
        let at = lane * u32(TILE) + j;
        // A row with no visible key so far has m = MASKED: its weights must be 0, not exp(0).
        let w = select(exp(weights[at] - m), 0.0, weights[at] <= MASKED);
        weights[at] = w;
        sum += w;
      }
      let factor = exp(maxima[lane] - m);
      rescale[lane] = factor;
      totals[lane] = totals[lane] * factor + sum;
      maxima[lane] = m;
    }
    workgroupBarrier();
    for (var r = 0u; r < u32(ROWS); r++) {
      acc[r] *= rescale[r];
    }
    for (var j = 0u; j < min(u32(TILE), end - tile); j++) {
      let v = unpack_kv(v_cache[cache_at + (tile + j) * u32(LANES) + lane]);
      for (var r = 0u; r < u32(ROWS); r++) {
        acc[r] = fma(vec4f(weights[r * u32(TILE) + j]), v, acc[r]);
      }
    }
    workgroupBarrier();
  }

  for (var r = 0u; r < u32(ROWS); r++) {
    let row = first_row + r;
    if (row < rows) {
      let head = kv_head * share + row % share;
      let at = (split * params.tokens + row / share) * params.heads + head;
      out[at * u32(LANES) + lane] = acc[r];
      if (lane == 0u) {
        sums[at] = vec2f(maxima[r], totals[r]);
      }
    }
  }
}

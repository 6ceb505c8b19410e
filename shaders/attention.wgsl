// Causal attention of a tile of queries over one split of the keys, with online softmax:
//   score[j] = q · k_j / sqrt(D);  m = max_j score, l = Σ_j exp(score − m), o = Σ_j exp(score − m) · v_j
//   q [T, n_head, D] f32 · k_cache, v_cache [n_kv, capacity, D] as in lib/kv_cache.wgsl
//   out [splits, T, n_head, D] f32 (unnormalised) · sums [splits, T, n_head] (m, l)
//   The r = n_head / n_kv query heads of a kv head and the T tokens form T·r rows that share keys and values.
//   workgroup: ROWS of these rows; D / 4 lanes. Per TILE of keys: a lane scores KEYS of them at a time for all rows; some lanes
//   turn a row's scores into weights; then a lane adds up one vec4 of v for all rows.
//   grid: (⌈T·r / ROWS⌉, kv heads of this binding, splits)
//   source: qwen35.md §2.1; online softmax: arXiv 1805.02867; splits: flash-decoding
import package::lib::kv_cache::KV_ROW;
@if(kv_f16) import package::lib::kv_cache::unpack_kv;
@if(kv_q8_0) import package::lib::kv_cache::{unpack_quants, KV_SCALES, KV_BLOCK};
import package::lib::step::{halted, step};
import constants::{LANES, ROWS, TILE, KEYS};

// Below any score, and far enough from f32's end that differences and exp's inner product with log2(e) stay finite.
const MASKED = -1.0e30;
struct Params {
  tokens: u32,
  heads: u32,
  kv_heads: u32,
  first_kv_head: u32,
  // Of one kv head's cache, in units of 16 bytes.
  head_stride: u32,
  split_length: u32,
  // D / 4.
  row_vecs: u32,
  // Lanes that share a row's softmax: the same for all ROWS, so that a row's sums do not depend on how many tokens a pass has.
  part_count: u32,
  scale: f32,
}

@group(1) @binding(0) var<storage, read> q: array<vec4f>;
@if(!kv_f16 && !kv_q8_0) @group(1) @binding(1) var<storage, read> k_cache: array<vec4f>;
@if(kv_f16) @group(1) @binding(1) var<storage, read> k_cache: array<vec4u>;
@if(kv_q8_0) @group(1) @binding(1) var<storage, read> k_cache: array<u32>;
@if(!kv_f16 && !kv_q8_0) @group(1) @binding(2) var<storage, read> v_cache: array<vec4f>;
@if(kv_f16) @group(1) @binding(2) var<storage, read> v_cache: array<vec2u>;
@if(kv_q8_0) @group(1) @binding(2) var<storage, read> v_cache: array<u32>;
@group(1) @binding(3) var<storage, read_write> out: array<vec4f>;
@group(1) @binding(4) var<storage, read_write> sums: array<vec2f>;
@group(1) @binding(5) var<uniform> params: Params;

var<workgroup> queries: array<vec4f, ROWS * LANES>;
// Scores, then weights.
var<workgroup> weights: array<f32, ROWS * TILE>;
var<workgroup> rescale: array<f32, ROWS>;
var<workgroup> parts: array<f32, LANES>;

// Of the keys whose rows begin there, with all queries: [KEYS, ROWS]. A query is loaded once for KEYS of them. Bounds of long
// loops are no constants, here and below, or lavapipe would unroll them and compile for half a minute; arrays are zeroed in
// words, because without a value they kept what the last key left there (Mesa 25.0, Dawn 0.6.2).
@if(!kv_f16 && !kv_q8_0)
fn scores(key_rows: array<u32, KEYS>) -> array<f32, KEYS * ROWS> {
  var score = array<f32, KEYS * ROWS>();
  var k = array<vec4f, KEYS>();
  for (var d = 0u; d < params.row_vecs; d++) {
    for (var i = 0u; i < u32(KEYS); i++) {
      k[i] = k_cache[key_rows[i] + d];
    }
    for (var r = 0u; r < u32(ROWS); r++) {
      let query = queries[r * u32(LANES) + d];
      for (var i = 0u; i < u32(KEYS); i++) {
        score[i * u32(ROWS) + r] += dot(k[i], query);
      }
    }
  }
  return score;
}

@if(kv_f16)
fn scores(key_rows: array<u32, KEYS>) -> array<f32, KEYS * ROWS> {
  var score = array<f32, KEYS * ROWS>();
  var k = array<vec4f, KEYS>();
  var next = array<vec4f, KEYS>();
  for (var d = 0u; d < params.row_vecs; d += 2u) {
    for (var i = 0u; i < u32(KEYS); i++) {
      let halves = k_cache[key_rows[i] + d / 2u];
      k[i] = unpack_kv(halves.xy);
      next[i] = unpack_kv(halves.zw);
    }
    for (var r = 0u; r < u32(ROWS); r++) {
      let query = queries[r * u32(LANES) + d];
      let query_next = queries[r * u32(LANES) + d + 1u];
      for (var i = 0u; i < u32(KEYS); i++) {
        score[i * u32(ROWS) + r] += dot(k[i], query) + dot(next[i], query_next);
      }
    }
  }
  return score;
}

@if(kv_q8_0)
fn scores(key_rows: array<u32, KEYS>) -> array<f32, KEYS * ROWS> {
  var score = array<f32, KEYS * ROWS>();
  var k = array<vec4f, KEYS>();
  var scale = array<f32, KEYS>();
  for (var d = 0u; d < params.row_vecs; d++) {
    for (var i = 0u; i < u32(KEYS); i++) {
      if (d % KV_BLOCK == 0u) {
        let block = d / KV_BLOCK;
        scale[i] = half_of(k_cache[4u * (key_rows[i] + KV_SCALES) + block / 2u], block);
      }
      k[i] = scale[i] * unpack_quants(k_cache[4u * key_rows[i] + d]);
    }
    for (var r = 0u; r < u32(ROWS); r++) {
      let query = queries[r * u32(LANES) + d];
      for (var i = 0u; i < u32(KEYS); i++) {
        score[i * u32(ROWS) + r] += dot(k[i], query);
      }
    }
  }
  return score;
}

// The scale of a block, of the two in a word.
@if(kv_q8_0)
fn half_of(word: u32, block: u32) -> f32 {
  return unpack2x16float(word >> (16u * (block & 1u))).x;
}

// This lane's vec4 of the value whose row begins there.
@if(!kv_f16 && !kv_q8_0)
fn value(row: u32, lane: u32) -> vec4f {
  return v_cache[row + lane];
}

@if(kv_f16)
fn value(row: u32, lane: u32) -> vec4f {
  return unpack_kv(v_cache[2u * row + lane]);
}

@if(kv_q8_0)
fn value(row: u32, lane: u32) -> vec4f {
  let block = lane / KV_BLOCK;
  return half_of(v_cache[4u * (row + KV_SCALES) + block / 2u], block) * unpack_quants(v_cache[4u * row + lane]);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (halted()) {
    return;
  }
  let share = params.heads / params.kv_heads;
  let rows = params.tokens * share;
  let first_row = group.x * u32(ROWS);
  let kv_head = params.first_kv_head + group.y;
  let cache_at = group.y * params.head_stride; // this binding begins at first_kv_head
  let split = group.z;
  // The last token of this tile of rows sees the most keys.
  let last_row = min(first_row + u32(ROWS), rows) - 1u;
  let end = min((split + 1u) * params.split_length, step.position + last_row / share + 1u);

  for (var r = 0u; r < u32(ROWS); r++) {
    let row = min(first_row + r, rows - 1u);
    let head = kv_head * share + row % share;
    queries[r * u32(LANES) + lane] = q[((row / share) * params.heads + head) * u32(LANES) + lane] * params.scale;
  }
  // Of the softmax, lanes have a row and a part of its keys each; with few rows some have none.
  let part_count = params.part_count;
  let own_row = lane / part_count;
  let own_part = lane % part_count;
  let own_scores = min(own_row, u32(ROWS) - 1u) * u32(TILE);
  let has_row = own_row < u32(ROWS);
  var most = MASKED;
  var total = 0.0;
  var acc: array<vec4f, ROWS>;
  workgroupBarrier();

  for (var tile = split * params.split_length; tile < end; tile += u32(TILE)) {
    let count = min(u32(TILE), end - tile);
    for (var j = lane; j < count; j += u32(KEYS * LANES)) {
      var key_rows = array<u32, KEYS>();
      for (var i = 0u; i < u32(KEYS); i++) {
        key_rows[i] = cache_at + min(tile + j + i * u32(LANES), end - 1u) * KV_ROW;
      }
      let score = scores(key_rows);
      for (var i = 0u; i < u32(KEYS); i++) {
        let at = j + i * u32(LANES);
        for (var r = 0u; r < u32(ROWS) && at < count; r++) {
          let row = min(first_row + r, rows - 1u);
          weights[r * u32(TILE) + at] = select(MASKED, score[i * u32(ROWS) + r], tile + at <= step.position + row / share);
        }
      }
    }
    workgroupBarrier();
    var m = most;
    for (var j = own_part; j < count && has_row; j += part_count) {
      m = max(m, weights[own_scores + j]);
    }
    parts[lane] = m;
    workgroupBarrier();
    for (var part = 0u; part < part_count; part++) {
      m = max(m, parts[own_row * part_count + part]);
    }
    let factor = exp(most - m);
    most = m;
    total *= factor;
    for (var j = own_part; j < count && has_row; j += part_count) {
      let at = own_scores + j;
      // A row with no visible key so far has m = MASKED: its weights must be 0, not exp(0).
      let w = select(exp(weights[at] - m), 0.0, weights[at] <= MASKED);
      weights[at] = w;
      total += w;
    }
    if (own_part == 0u && has_row) {
      rescale[own_row] = factor;
    }
    workgroupBarrier();
    for (var r = 0u; r < u32(ROWS); r++) {
      acc[r] *= rescale[r];
    }
    for (var j = 0u; j < count; j++) {
      let v = value(cache_at + (tile + j) * KV_ROW, lane);
      for (var r = 0u; r < u32(ROWS); r++) {
        acc[r] = fma(vec4f(weights[r * u32(TILE) + j]), v, acc[r]);
      }
    }
    workgroupBarrier();
  }

  parts[lane] = total;
  if (own_part == 0u && has_row) {
    rescale[own_row] = most;
  }
  workgroupBarrier();
  if (lane < u32(ROWS) && first_row + lane < rows) {
    var sum = 0.0;
    for (var part = 0u; part < part_count; part++) {
      sum += parts[lane * part_count + part];
    }
    sums[result_at(split, first_row + lane, kv_head)] = vec2f(rescale[lane], sum);
  }
  for (var r = 0u; r < u32(ROWS); r++) {
    if (first_row + r < rows) {
      out[result_at(split, first_row + r, kv_head) * u32(LANES) + lane] = acc[r];
    }
  }
}

// Index of a row's results: [splits, T, n_head].
fn result_at(split: u32, row: u32, kv_head: u32) -> u32 {
  let share = params.heads / params.kv_heads;
  return (split * params.tokens + row / share) * params.heads + kv_head * share + row % share;
}

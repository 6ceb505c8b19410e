// Causal attention of a tile of queries over one split of the keys, with online softmax:
//   score[j] = q · k_j / sqrt(D);  m = max_j score, l = Σ_j exp(score − m), o = Σ_j exp(score − m) · v_j
//   q [T, n_head, D] f32 · k_cache, v_cache [n_kv, capacity, D] as in lib/kv_cache.wgsl
//   out [splits, T, n_head, D] f32 (unnormalised) · sums [splits, T, n_head] (m, l)
//   The r = n_head / n_kv query heads of a kv head and the T tokens form T·r rows that share keys and values.
//   workgroup: ROWS of these rows; D / 4 lanes. Per TILE of keys: a lane scores one key at a time for all rows; LANES / ROWS
//   lanes turn a row's scores into weights; then a lane adds up one vec4 of v for all rows.
//   grid: (⌈T·r / ROWS⌉, kv heads of this binding, splits)
//   source: qwen35.md §2.1; online softmax: arXiv 1805.02867; splits: flash-decoding
import package::lib::kv_cache::KV_ROW;
@if(kv_f16) import package::lib::kv_cache::unpack_kv;
@if(kv_q8_0) import package::lib::kv_cache::{unpack_quants, KV_SCALES, KV_BLOCK};
import package::lib::step::{halted, step};
import constants::{LANES, ROWS, TILE};

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
  scale: f32,
}

@group(1) @binding(0) var<storage, read> q: array<vec4f>;
@if(!kv_f16 && !kv_q8_0) @group(1) @binding(1) var<storage, read> k_cache: array<vec4f>;
@if(kv_f16 || kv_q8_0) @group(1) @binding(1) var<storage, read> k_cache: array<vec4u>;
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

// Of the key whose row begins there, with all queries. Bounds of long loops are no constants, here and below, or lavapipe would
// unroll them and compile for half a minute; arrays are zeroed in words, because without a value they kept what the last key left there
// (Mesa 25.0, Dawn 0.6.2).
@if(!kv_f16 && !kv_q8_0)
fn scores(row: u32) -> array<f32, ROWS> {
  var score = array<f32, ROWS>();
  for (var d = 0u; d < params.row_vecs; d++) {
    let k = k_cache[row + d];
    for (var r = 0u; r < u32(ROWS); r++) {
      score[r] += dot(k, queries[r * u32(LANES) + d]);
    }
  }
  return score;
}

@if(kv_f16)
fn scores(row: u32) -> array<f32, ROWS> {
  var score = array<f32, ROWS>();
  for (var d = 0u; d < params.row_vecs; d += 2u) {
    let halves = k_cache[row + d / 2u];
    let k = unpack_kv(halves.xy);
    let next = unpack_kv(halves.zw);
    for (var r = 0u; r < u32(ROWS); r++) {
      let at = r * u32(LANES) + d;
      score[r] += dot(k, queries[at]) + dot(next, queries[at + 1u]);
    }
  }
  return score;
}

@if(kv_q8_0)
fn scores(row: u32) -> array<f32, ROWS> {
  var score = array<f32, ROWS>();
  for (var d = 0u; d < params.row_vecs; d += 4u) {
    let quants = k_cache[row + d / 4u];
    let block = d / KV_BLOCK;
    let scale = half_of(k_cache[row + KV_SCALES + block / 8u], block % 8u);
    let k0 = unpack_quants(quants.x);
    let k1 = unpack_quants(quants.y);
    let k2 = unpack_quants(quants.z);
    let k3 = unpack_quants(quants.w);
    for (var r = 0u; r < u32(ROWS); r++) {
      let at = r * u32(LANES) + d;
      let sum = dot(k0, queries[at]) + dot(k1, queries[at + 1u]) + dot(k2, queries[at + 2u]) + dot(k3, queries[at + 3u]);
      score[r] = fma(scale, sum, score[r]);
    }
  }
  return score;
}

@if(kv_q8_0)
fn half_of(words: vec4u, i: u32) -> f32 {
  let two = select(words.xy, words.zw, i > 3u);
  let word = select(two.x, two.y, (i & 2u) != 0u);
  return unpack2x16float(word >> (16u * (i & 1u))).x;
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
  let scales = v_cache[4u * (row + KV_SCALES) + block / 2u];
  return unpack2x16float(scales >> (16u * (block & 1u))).x * unpack_quants(v_cache[4u * row + lane]);
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
  // Of the softmax, lanes have a row and a part of its keys each.
  let part_count = params.row_vecs / u32(ROWS);
  let own_row = lane / part_count;
  let own_part = lane % part_count;
  var most = MASKED;
  var total = 0.0;
  var acc: array<vec4f, ROWS>;
  workgroupBarrier();

  for (var tile = split * params.split_length; tile < end; tile += u32(TILE)) {
    let count = min(u32(TILE), end - tile);
    for (var j = lane; j < count; j += u32(LANES)) {
      let key = tile + j;
      let score = scores(cache_at + key * KV_ROW);
      for (var r = 0u; r < u32(ROWS); r++) {
        let row = min(first_row + r, rows - 1u);
        weights[r * u32(TILE) + j] = select(MASKED, score[r], key <= step.position + row / share);
      }
    }
    workgroupBarrier();
    var m = most;
    for (var j = own_part; j < count; j += part_count) {
      m = max(m, weights[own_row * u32(TILE) + j]);
    }
    parts[lane] = m;
    workgroupBarrier();
    for (var part = 0u; part < part_count; part++) {
      m = max(m, parts[own_row * part_count + part]);
    }
    let factor = exp(most - m);
    most = m;
    total *= factor;
    for (var j = own_part; j < count; j += part_count) {
      let at = own_row * u32(TILE) + j;
      // A row with no visible key so far has m = MASKED: its weights must be 0, not exp(0).
      let w = select(exp(weights[at] - m), 0.0, weights[at] <= MASKED);
      weights[at] = w;
      total += w;
    }
    if (own_part == 0u) {
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
  if (own_part == 0u) {
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

// Gated attention, before the scores: per-head RMS norm of q and k, rotary embedding, and k and v into the cache.
//   qg [T, n_head, 2·D] f32: per head query, then gate · kv [T, 2, n_kv, D] f32: keys, then values
//   rotary: dims i and i + R/2 (i < R/2) turn by the angle whose (cos, sin) is rope[t, i]; dims ≥ R pass through
//   q [T, n_head, D] f32 · k_cache, v_cache [n_kv, capacity, D] as in lib/kv_cache.wgsl
//   q8_0, per block of 32: scale = max |v| / 127, quant = round(v / scale), as ggml quantises it
//   workgroup: one head of one t, D / 4 lanes, one vec4 each: query heads, then key heads, then value heads
//   grid: (heads of this dispatch, T): a cache beyond the binding limit is bound some kv heads at a time, and only the first
//   such dispatch has query heads
//   source: qwen35.md §2.1. cos and sin come from the CPU in float64: WGSL promises no accuracy for large angles.
import package::lib::kv_cache::KV_ROW;
@if(kv_f16) import package::lib::kv_cache::pack_kv;
@if(kv_q8_0) import package::lib::kv_cache::{KV_SCALES, KV_BLOCK};
import package::lib::reduce::workgroup_sum;
import package::lib::step::{halted, step};
import constants::{LANES, ROTARY};

struct Params {
  heads: u32,
  kv_heads: u32,
  // Of this dispatch.
  query_heads: u32,
  first_kv_head: u32,
  bound_kv_heads: u32,
  // Of one kv head's cache, in units of 16 bytes.
  head_stride: u32,
  eps: f32,
}

@group(1) @binding(0) var<storage, read> qg: array<vec4f>;
@group(1) @binding(1) var<storage, read> kv: array<vec4f>;
// q norm [D], then k norm [D].
@group(1) @binding(2) var<storage, read> norms: array<vec4f>;
@group(1) @binding(3) var<storage, read> rope: array<vec2f>;
@group(1) @binding(4) var<storage, read_write> q: array<vec4f>;
@if(!kv_f16 && !kv_q8_0) @group(1) @binding(5) var<storage, read_write> k_cache: array<vec4f>;
@if(!kv_f16 && !kv_q8_0) @group(1) @binding(6) var<storage, read_write> v_cache: array<vec4f>;
@if(kv_f16) @group(1) @binding(5) var<storage, read_write> k_cache: array<vec2u>;
@if(kv_f16) @group(1) @binding(6) var<storage, read_write> v_cache: array<vec2u>;
@if(kv_q8_0) @group(1) @binding(5) var<storage, read_write> k_cache: array<u32>;
@if(kv_q8_0) @group(1) @binding(6) var<storage, read_write> v_cache: array<u32>;
@group(1) @binding(7) var<uniform> params: Params;

var<workgroup> normed: array<vec4f, LANES>;
@if(kv_q8_0) var<workgroup> sizes: array<f32, LANES>;

// Writes this lane's vec4 into the row that begins there.
@if(!kv_f16 && !kv_q8_0)
fn store(is_value: bool, row: u32, v: vec4f, lane: u32) {
  if (is_value) {
    v_cache[row + lane] = v;
  } else {
    k_cache[row + lane] = v;
  }
}

@if(kv_f16)
fn store(is_value: bool, row: u32, v: vec4f, lane: u32) {
  if (is_value) {
    v_cache[2u * row + lane] = pack_kv(v);
  } else {
    k_cache[2u * row + lane] = pack_kv(v);
  }
}

@if(kv_q8_0)
fn store(is_value: bool, row: u32, v: vec4f, lane: u32) {
  let size = abs(v);
  sizes[lane] = max(max(size.x, size.y), max(size.z, size.w));
  workgroupBarrier();
  let scale = block_scale(lane / KV_BLOCK);
  let inverse = select(1.0 / scale, 0.0, scale == 0.0);
  let word = pack4xI8(vec4i(round(v * inverse)));
  // One lane writes the scales of two blocks, which share a word.
  let pair = lane / (2u * KV_BLOCK);
  let writes_scales = lane % (2u * KV_BLOCK) == 0u;
  let scales = pack2x16float(vec2f(block_scale(2u * pair), block_scale(2u * pair + 1u)));
  if (is_value) {
    v_cache[4u * row + lane] = word;
    if (writes_scales) {
      v_cache[4u * (row + KV_SCALES) + pair] = scales;
    }
  } else {
    k_cache[4u * row + lane] = word;
    if (writes_scales) {
      k_cache[4u * (row + KV_SCALES) + pair] = scales;
    }
  }
}

// 0 of a block beyond the row.
@if(kv_q8_0)
fn block_scale(block: u32) -> f32 {
  var most = 0.0;
  for (var i = block * KV_BLOCK; i < min((block + 1u) * KV_BLOCK, u32(LANES)); i++) {
    most = max(most, sizes[i]);
  }
  return most / 127.0;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  if (halted()) {
    return;
  }
  let t = group.y;
  let head = group.x;
  let is_query = head < params.query_heads;
  let is_value = head >= params.query_heads + params.bound_kv_heads;
  let bound_head = (head - params.query_heads) % params.bound_kv_heads;
  let kv_head = params.first_kv_head + bound_head;
  let cached = bound_head * params.head_stride + (step.position + t) * KV_ROW;
  var v: vec4f;
  if (is_query) {
    v = qg[(t * params.heads + head) * 2u * u32(LANES) + lane];
  } else {
    v = kv[((2u * t + select(0u, 1u, is_value)) * params.kv_heads + kv_head) * u32(LANES) + lane];
  }
  let mean = workgroup_sum(dot(v, v), lane) / f32(LANES * 4);
  if (is_value) {
    store(true, cached, v, lane);
    return;
  }
  v *= 1.0 / sqrt(mean + params.eps) * norms[lane + select(u32(LANES), 0u, is_query)];
  normed[lane] = v;
  workgroupBarrier();
  const HALF = u32(ROTARY / 8); // R / 2 in vec4s
  if (lane < 2u * HALF) {
    let pair = lane % HALF;
    let first = normed[pair];
    let second = normed[pair + HALF];
    var turn: array<vec2f, 4>;
    for (var i = 0u; i < 4u; i++) {
      turn[i] = rope[(t * HALF + pair) * 4u + i];
    }
    let cosines = vec4f(turn[0].x, turn[1].x, turn[2].x, turn[3].x);
    let sines = vec4f(turn[0].y, turn[1].y, turn[2].y, turn[3].y);
    v = select(second * cosines + first * sines, first * cosines - second * sines, lane < HALF);
  }
  if (is_query) {
    q[(t * params.heads + head) * u32(LANES) + lane] = v;
  } else {
    store(false, cached, v, lane);
  }
}

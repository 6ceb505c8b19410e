// Writes every logit above the 22-bit prefix of the k-th largest to the output, then those that share the prefix, each in
// any order: at least k of them (if there are as many), never more than capacity. Those above are fewer than k, so they
// always have a place, however many share the prefix (masked logits are all −inf).
//   logits [n] f32 · partials [groups] (maximum, Σ exp) of the raw logits
//   output: counts of those above and of those that share the prefix u32 (may exceed what was written), log-sum-exp f32,
//   1 unused, then capacity ids u32, then capacity logits (f32 bits)
//   The counts must be 0 before; see lib/top_k.wgsl
//   workgroup: a segment of SEGMENT logits
import package::lib::top_k::{BINS, BIN_BITS, find_bin, sort_key};
import package::lib::reduce::{workgroup_max, workgroup_sum};
import package::lib::step::halted;
import constants::{LANES, SEGMENT};

struct Params {
  count: u32,
  wanted: u32,
  capacity: u32,
  groups: u32,
}

@group(1) @binding(0) var<storage, read> logits: array<f32>;
@group(1) @binding(1) var<storage, read> partials: array<vec2f>;
@group(1) @binding(3) var<storage, read_write> output: array<atomic<u32>>;
@group(1) @binding(4) var<uniform> params: Params;

const HEADER = 4u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (halted()) {
    return;
  }
  let upper = find_bin(0u, params.wanted, lane);
  workgroupBarrier();
  let lower = find_bin(1u, params.wanted - upper.y, lane);
  let threshold = (upper.x << BIN_BITS) | lower.x;
  let above = upper.y + lower.y;
  let first = group.x * u32(SEGMENT);
  let end = min(first + u32(SEGMENT), params.count);
  for (var i = first + lane; i < end; i += u32(LANES)) {
    let prefix = sort_key(logits[i]) >> (32u - 2u * BIN_BITS);
    if (prefix >= threshold) {
      var at: u32;
      if (prefix > threshold) {
        at = atomicAdd(&output[0], 1u);
      } else {
        at = above + atomicAdd(&output[1], 1u);
      }
      if (at < params.capacity) {
        atomicStore(&output[HEADER + at], i);
        atomicStore(&output[HEADER + params.capacity + at], bitcast<u32>(logits[i]));
      }
    }
  }
  if (group.x == 0u) {
    var most = -3.4e38;
    for (var i = lane; i < params.groups; i += u32(LANES)) {
      most = max(most, partials[i].x);
    }
    most = workgroup_max(most, lane);
    var sum = 0.0;
    for (var i = lane; i < params.groups; i += u32(LANES)) {
      sum += partials[i].y * exp(partials[i].x - most);
    }
    sum = workgroup_sum(sum, lane);
    if (lane == 0u) {
      atomicStore(&output[2], bitcast<u32>(most + log(sum)));
    }
  }
}

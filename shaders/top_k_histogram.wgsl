// Histogram of the logits' keys for the candidate search: of the upper 11 bits (first pass), or of the next 11 among those
// in the bin of the k-th largest (second pass). See lib/top_k.wgsl.
//   logits [n] f32 · histograms [2, BINS] u32
//   workgroup: a segment of SEGMENT logits, counted in workgroup memory first
import package::lib::step::halted;
import package::lib::top_k::{BINS, BIN_BITS, find_bin, histograms, sort_key};
import constants::{LANES, SEGMENT};

struct Params {
  count: u32,
  wanted: u32,
}

@group(1) @binding(0) var<storage, read> logits: array<f32>;
@group(1) @binding(1) var<uniform> params: Params;

var<workgroup> local_bins: array<atomic<u32>, BINS>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (halted()) {
    return;
  }
  for (var i = lane; i < BINS; i += u32(LANES)) {
    atomicStore(&local_bins[i], 0u);
  }
  @if(second) let bin = find_bin(0u, params.wanted, lane).x;
  workgroupBarrier();
  let first = group.x * u32(SEGMENT);
  let end = min(first + u32(SEGMENT), params.count);
  for (var i = first + lane; i < end; i += u32(LANES)) {
    let key = sort_key(logits[i]);
    @if(!second) atomicAdd(&local_bins[key >> (32u - BIN_BITS)], 1u);
    @if(second) {
      if ((key >> (32u - BIN_BITS)) == bin) {
        atomicAdd(&local_bins[(key >> (32u - 2u * BIN_BITS)) & (BINS - 1u)], 1u);
      }
    }
  }
  workgroupBarrier();
  for (var i = lane; i < BINS; i += u32(LANES)) {
    let n = atomicLoad(&local_bins[i]);
    if (n > 0u) {
      @if(!second) atomicAdd(&histograms[i], n);
      @if(second) atomicAdd(&histograms[BINS + i], n);
    }
  }
}

// Per workgroup of the vocabulary: the maximum of the raw logits and Σ exp(logit − maximum), from which the sampler has the
// log-sum-exp of the whole. Runs before penalties. Also clears the histograms and the counts of the candidate search.
//   logits [n] f32 · partials [groups] (maximum, sum) · histograms [2·BINS] u32 · output: its counts
//   workgroup: a segment of SEGMENT logits
import package::lib::reduce::{workgroup_max, workgroup_sum};
import package::lib::step::halted;
import constants::{LANES, SEGMENT};

struct Params {
  count: u32,
  bins: u32,
}

@group(1) @binding(0) var<storage, read> logits: array<f32>;
@group(1) @binding(1) var<storage, read_write> partials: array<vec2f>;
@group(1) @binding(2) var<storage, read_write> histograms: array<u32>;
@group(1) @binding(3) var<storage, read_write> output: array<u32>;
@group(1) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  if (halted()) {
    return;
  }
  let first = group.x * u32(SEGMENT);
  let end = min(first + u32(SEGMENT), params.count);
  var most = -3.4e38;
  for (var i = first + lane; i < end; i += u32(LANES)) {
    most = max(most, logits[i]);
  }
  most = workgroup_max(most, lane);
  var sum = 0.0;
  for (var i = first + lane; i < end; i += u32(LANES)) {
    sum += exp(logits[i] - most);
  }
  sum = workgroup_sum(sum, lane);
  if (lane == 0u) {
    partials[group.x] = vec2f(most, sum);
    if (group.x == 0u) {
      output[0] = 0u;
      output[1] = 0u;
    }
  }
  for (var i = group.x * u32(LANES) + lane; i < params.bins; i += groups.x * u32(LANES)) {
    histograms[i] = 0u;
  }
}

// Index of the largest value (ties: the lowest; 0 where all are NaN), in two rounds.
//   first round: values [count] f32 → best [groups] (value's bits, index); a workgroup looks at SEGMENT values
//   last: best [count] → index u32; one workgroup
import package::lib::step::halted;
import constants::{LANES, SEGMENT};

struct Params {
  count: u32,
}

@if(!last) @group(1) @binding(0) var<storage, read> values: array<f32>;
@if(!last) @group(1) @binding(1) var<storage, read_write> best: array<vec2u>;
@if(last) @group(1) @binding(0) var<storage, read> best: array<vec2u>;
@if(last) @group(1) @binding(1) var<storage, read_write> index: array<u32>;
@group(1) @binding(2) var<uniform> params: Params;

const NOTHING = 0xffffffffu;

var<workgroup> best_value: array<f32, LANES>;
var<workgroup> best_index: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (halted()) {
    return;
  }
  var value = -3.4e38;
  var at = NOTHING;
  let first = group.x * u32(SEGMENT);
  var end = params.count;
  @if(!last) end = min(end, first + u32(SEGMENT));
  for (var i = first + lane; i < end; i += u32(LANES)) {
    @if(!last) let next = values[i];
    @if(!last) let next_at = i;
    @if(last) let next = bitcast<f32>(best[i].x);
    @if(last) let next_at = best[i].y;
    if (next > value || (next == value && next_at < at)) {
      value = next;
      at = next_at;
    }
  }
  best_value[lane] = value;
  best_index[lane] = at;
  for (var half = u32(LANES) / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      let other = best_value[lane + half];
      let other_at = best_index[lane + half];
      if (other > best_value[lane] || (other == best_value[lane] && other_at < best_index[lane])) {
        best_value[lane] = other;
        best_index[lane] = other_at;
      }
    }
  }
  if (lane == 0u) {
    @if(!last) best[group.x] = vec2u(bitcast<u32>(best_value[0]), best_index[0]);
    @if(last) index[0] = select(best_index[0], 0u, best_index[0] == NOTHING);
  }
}

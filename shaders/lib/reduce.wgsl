// Sum and maximum over a workgroup of LANES (a power of two) invocations; every lane gets the result.
import constants::LANES;

var<workgroup> reduce_scratch: array<f32, LANES>;

fn workgroup_sum(value: f32, lane: u32) -> f32 {
  workgroupBarrier(); // an earlier reduction may still be read
  reduce_scratch[lane] = value;
  for (var half = u32(LANES) / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      reduce_scratch[lane] += reduce_scratch[lane + half];
    }
  }
  workgroupBarrier();
  return reduce_scratch[0];
}

fn workgroup_max(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  reduce_scratch[lane] = value;
  for (var half = u32(LANES) / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      reduce_scratch[lane] = max(reduce_scratch[lane], reduce_scratch[lane + half]);
    }
  }
  workgroupBarrier();
  return reduce_scratch[0];
}

// y[t, r] = Σ_c W[r, c] · x[t, c]      (+ y[t, r] when accumulating)
//   W quantised [rows, 32·chunks], planes as in src/weights/quant-layout.ts; `load_weights` is the module of its type
//   x [T, 32·chunks] f32 · y [T, row_stride] f32, of which this dispatch writes columns row_offset … row_offset + rows
//   workgroup: ROWS rows for TOKENS t; lanes stride over chunks of 32 columns, so that x is loaded once for all rows, and
//   each weight once for all t. A token's sums are the same, in the same order, however many there are.
//   grid: (⌈rows / ROWS⌉ folded over x and y, T / TOKENS)
//   experts: row block `slots[p]` of W instead of block 0, for each routed pair p = (token, choice); x row p / x_share
//   source: qwen35.md §2
import package::lib::product::{activations, params, store};
import package::lib::step::halted;
import package::lib::weights::load_weights;
import constants::{LANES, ROWS, TOKENS};
@if(subgroups) enable subgroups;

@if(experts) @group(1) @binding(7) var<storage, read> slots: array<u32>;

// Every lane's share of every sum: [LANES, SUMS].
const SUMS = ROWS * TOKENS;
@if(!subgroups) var<workgroup> shares: array<f32, LANES * SUMS>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  if (halted()) {
    return;
  }
  let first = (group.x + group.y * groups.x) * u32(ROWS);
  let first_token = group.z * u32(TOKENS);
  if (first >= params.rows) {
    return;
  }
  var w_row = first;
  var x_chunk = first_token * params.chunks;
  @if(experts) {
    let slot = slots[first_token] - params.first_slot;
    if (slot >= params.slot_count) {
      return; // held by another buffer, whose dispatch writes this pair, or by none in this wave
    }
    w_row += slot * params.rows;
    x_chunk = (first_token / params.x_share) * params.chunks;
  }
  let last = w_row + min(u32(ROWS), params.rows - first) - 1u;

  var sum: array<f32, SUMS>;
  for (var c = lane; c < params.chunks; c += u32(LANES)) {
    var xs: array<vec4f, 8 * TOKENS>;
    for (var j = 0u; j < u32(TOKENS); j++) {
      for (var i = 0u; i < 8u; i++) {
        xs[8u * j + i] = activations[(x_chunk + j * params.chunks + c) * 8u + i];
      }
    }
    for (var r = 0u; r < u32(ROWS); r++) {
      let w = load_weights(min(w_row + r, last) * params.chunks + c);
      for (var j = 0u; j < u32(TOKENS); j++) {
        var dots = w[0] * xs[8u * j];
        for (var i = 1u; i < 8u; i++) {
          dots = fma(w[i], xs[8u * j + i], dots);
        }
        sum[j * u32(ROWS) + r] += dot(dots, vec4f(1.0));
      }
    }
  }
  @if(subgroups) {
    for (var j = 0u; j < u32(TOKENS); j++) {
      for (var r = 0u; r < u32(ROWS); r++) {
        let total = subgroupAdd(sum[j * u32(ROWS) + r]);
        if (lane == 0u && first + r < params.rows) {
          store(first_token + j, first + r, total);
        }
      }
    }
  }
  @if(!subgroups) {
    // One barrier for all sums: then a lane adds up one.
    for (var s = 0u; s < u32(SUMS); s++) {
      shares[lane * u32(SUMS) + s] = sum[s];
    }
    workgroupBarrier();
    for (var s = lane; s < u32(SUMS); s += u32(LANES)) {
      let r = s % u32(ROWS);
      if (first + r < params.rows) {
        var total = 0.0;
        for (var i = 0u; i < u32(LANES); i++) {
          total += shares[i * u32(SUMS) + s];
        }
        store(first_token + s / u32(ROWS), first + r, total);
      }
    }
  }
}

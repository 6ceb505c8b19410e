// y[t, r] = Σ_c W[r, c] · x[t, c]      written, added to y, or gated by y (lib/product.wgsl)
//   W quantised [rows, 32·chunks], planes as in src/weights/quant-layout.ts; `load_weights` is the module of its type
//   x [T, 32·chunks] f32 · y [T, row_stride] f32, of which this dispatch writes columns row_offset … row_offset + rows
//   workgroup: ROWS rows for one t; lanes stride over chunks of 32 columns, so that x is loaded once for all rows
//   grid: (⌈rows / ROWS⌉ folded over x and y, T)
//   params.norms: x is normed on the way, x · norm / sqrt(mean_c(x²) + eps); the root, one factor for all of a row, comes last
//   params.swiglu: W has rows of gates, then as many of ups; y[t, r] = silu(gate row r · x) · (up row r · x), so a workgroup
//   makes ROWS / 2 rows of y
//   These two are parameters, the same for all invocations, because a variant of each type for each would have to be compiled.
//   mixed: the shared expert of a mixture and what the routed ones have made; weights: K routed, then the shared one's
//     y[t, r] += mixture[t, K] · (W x)[t, r] + Σ_k mixture[t, k] · expert_outputs[t·K + k, r]
//   experts: row block `slots[p]` of W instead of block 0, for each routed pair p = (token, choice); x row p / x_share
//   source: qwen35.md §2
import package::lib::activations::sigmoid;
import package::lib::product::{activations, params, products, store};
import package::lib::step::halted;
import package::lib::weights::load_weights;
import constants::{LANES, ROWS, TOP_K};
@if(subgroups) enable subgroups;

@if(experts) @group(1) @binding(7) var<storage, read> slots: array<u32>;
@if(normed) @group(1) @binding(8) var<storage, read> norm: array<vec4f>;
@if(mixed) @group(1) @binding(9) var<storage, read> expert_outputs: array<f32>;
@if(mixed) @group(1) @binding(10) var<storage, read> mixture: array<f32>;

// Every lane's share of every row, and of the sum of squares: [LANES, ROWS + 1].
@if(!subgroups) var<workgroup> shares: array<f32, LANES * (ROWS + 1)>;

// What becomes of one row's sum (with swiglu: of the gate's and the up's).
fn finish(t: u32, row: u32, sum: f32, up: f32) {
  @if(mixed) {
    var total = mixture[t * u32(TOP_K + 1) + u32(TOP_K)] * sum;
    for (var k = 0u; k < u32(TOP_K); k++) {
      total += mixture[t * u32(TOP_K + 1) + k] * expert_outputs[(t * u32(TOP_K) + k) * params.row_stride + params.row_offset + row];
    }
    products[t * params.row_stride + params.row_offset + row] += total;
  }
  @if(!mixed) {
    store(t, row, select(sum, sum * sigmoid(sum) * up, params.swiglu != 0u));
  }
}

@if(normed)
fn norm_scale(squares: f32) -> f32 {
  return select(1.0, 1.0 / sqrt(squares / f32(32u * params.chunks) + params.eps), params.norms != 0u);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  if (halted()) {
    return;
  }
  // Rows of W that go into one of y, and rows of y this workgroup makes.
  let parts = 1u + params.swiglu;
  let outputs = u32(ROWS) / parts;
  let first = (group.x + group.y * groups.x) * outputs;
  let t = group.z;
  if (first >= params.rows) {
    return;
  }
  var w_base = 0u;
  var x_chunk = t * params.chunks;
  @if(experts) {
    let slot = slots[t] - params.first_slot;
    if (slot >= params.slot_count) {
      return; // held by another buffer, whose dispatch writes this pair, or by none in this wave
    }
    w_base = slot * params.rows * parts;
    x_chunk = (t / params.x_share) * params.chunks;
  }
  let w_row = w_base + first;
  let last = w_base + min(first + outputs, params.rows) - 1u;

  var sum: array<f32, ROWS>;
  @if(normed) var square = vec4f(0.0);
  for (var c = lane; c < params.chunks; c += u32(LANES)) {
    var xs: array<vec4f, 8>;
    for (var i = 0u; i < 8u; i++) {
      xs[i] = activations[(x_chunk + c) * 8u + i];
    }
    @if(normed) {
      if (params.norms != 0u) {
        for (var i = 0u; i < 8u; i++) {
          square = fma(xs[i], xs[i], square);
          xs[i] *= norm[c * 8u + i];
        }
      }
    }
    for (var r = 0u; r < u32(ROWS); r++) {
      // r − outputs for the rows of ups.
      let is_up = r >= outputs;
      let row = min(w_row + r - select(0u, outputs, is_up), last) + select(0u, params.rows, is_up);
      let w = load_weights(row * params.chunks + c);
      var dots = w[0] * xs[0];
      for (var i = 1u; i < 8u; i++) {
        dots = fma(w[i], xs[i], dots);
      }
      sum[r] += dot(dots, vec4f(1.0));
    }
  }
  var scale = 1.0;
  @if(subgroups) {
    @if(normed) {
      scale = norm_scale(subgroupAdd(dot(square, vec4f(1.0))));
    }
    for (var r = 0u; r < u32(ROWS); r++) {
      sum[r] = scale * subgroupAdd(sum[r]);
    }
    for (var r = 0u; r < u32(ROWS); r++) {
      if (lane == 0u && r < outputs && first + r < params.rows) {
        finish(t, first + r, sum[r], sum[(r + u32(ROWS / 2)) % u32(ROWS)]);
      }
    }
  }
  @if(!subgroups) {
    // One barrier for all rows: then a lane adds up a row.
    for (var r = 0u; r < u32(ROWS); r++) {
      shares[lane * u32(ROWS + 1) + r] = sum[r];
    }
    @if(normed) {
      shares[lane * u32(ROWS + 1) + u32(ROWS)] = dot(square, vec4f(1.0));
    }
    workgroupBarrier();
    let up_at = select(0u, outputs, params.swiglu != 0u);
    for (var r = lane; r < min(outputs, params.rows - first); r += u32(LANES)) {
      // One loop for all that a row needs: software adapters unroll it, and take long over every copy.
      var totals = vec3f(0.0);
      for (var i = 0u; i < u32(LANES); i++) {
        let at = i * u32(ROWS + 1);
        totals += vec3f(shares[at + r], shares[at + up_at + r], shares[at + u32(ROWS)]);
      }
      @if(normed) {
        scale = norm_scale(totals.z);
      }
      finish(t, first + r, scale * totals.x, scale * totals.y);
    }
  }
}

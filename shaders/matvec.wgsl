// y[t, r] = Σ_c W[r, c] · x[t, c]      written, added to y, or gated by y (lib/product.wgsl)
//   W quantised [rows, 32·chunks], planes as in src/weights/quant-layout.ts; `load_weights` is the module of its type
//   x [T, 32·chunks] f32 · y [T, row_stride] f32, of which this dispatch writes columns row_offset … row_offset + rows
//   workgroup: ROWS rows for TOKENS t; lanes stride over chunks of 32 columns, so that x is loaded once for all rows, and
//   each weight once for all t. A token's sums are the same, in the same order, however many there are.
//   grid: (⌈rows / ROWS⌉ folded over x and y, T / TOKENS); with experts TOKENS is 1
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
import constants::{LANES, ROWS, TOKENS, TOP_K};
@if(subgroups) enable subgroups;

@if(experts) @group(1) @binding(7) var<storage, read> slots: array<u32>;
@if(normed) @group(1) @binding(8) var<storage, read> norm: array<vec4f>;
@if(mixed) @group(1) @binding(9) var<storage, read> expert_outputs: array<f32>;
@if(mixed) @group(1) @binding(10) var<storage, read> mixture: array<f32>;

// Every lane's share of every sum, and of the sums of squares: [LANES, SHARES].
const SUMS = ROWS * TOKENS;
const SHARES = SUMS + TOKENS;
@if(!subgroups) var<workgroup> shares: array<f32, LANES * SHARES>;

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
  let first_token = group.z * u32(TOKENS);
  if (first >= params.rows) {
    return;
  }
  var w_base = 0u;
  var x_chunk = first_token * params.chunks;
  @if(experts) {
    let slot = slots[first_token] - params.first_slot;
    if (slot >= params.slot_count) {
      return; // held by another buffer, whose dispatch writes this pair, or by none in this wave
    }
    w_base = slot * params.rows * parts;
    x_chunk = (first_token / params.x_share) * params.chunks;
  }
  let w_row = w_base + first;
  let last = w_base + min(first + outputs, params.rows) - 1u;

  var sum: array<f32, SUMS>;
  @if(normed) var square: array<vec4f, TOKENS>;
  for (var c = lane; c < params.chunks; c += u32(LANES)) {
    var xs: array<vec4f, 8 * TOKENS>;
    for (var j = 0u; j < u32(TOKENS); j++) {
      for (var i = 0u; i < 8u; i++) {
        xs[8u * j + i] = activations[(x_chunk + j * params.chunks + c) * 8u + i];
      }
      @if(normed) {
        if (params.norms != 0u) {
          for (var i = 0u; i < 8u; i++) {
            square[j] = fma(xs[8u * j + i], xs[8u * j + i], square[j]);
            xs[8u * j + i] *= norm[c * 8u + i];
          }
        }
      }
    }
    for (var r = 0u; r < u32(ROWS); r++) {
      // r − outputs for the rows of ups.
      let is_up = r >= outputs;
      let row = min(w_row + r - select(0u, outputs, is_up), last) + select(0u, params.rows, is_up);
      let w = load_weights(row * params.chunks + c);
      for (var j = 0u; j < u32(TOKENS); j++) {
        var dots = w[0] * xs[8u * j];
        for (var i = 1u; i < 8u; i++) {
          dots = fma(w[i], xs[8u * j + i], dots);
        }
        sum[j * u32(ROWS) + r] += dot(dots, vec4f(1.0));
      }
    }
  }
  var scale = 1.0;
  @if(subgroups) {
    for (var j = 0u; j < u32(TOKENS); j++) {
      let at = j * u32(ROWS);
      @if(normed) {
        scale = norm_scale(subgroupAdd(dot(square[j], vec4f(1.0))));
      }
      for (var r = 0u; r < u32(ROWS); r++) {
        sum[at + r] = scale * subgroupAdd(sum[at + r]);
      }
      for (var r = 0u; r < u32(ROWS); r++) {
        if (lane == 0u && r < outputs && first + r < params.rows) {
          finish(first_token + j, first + r, sum[at + r], sum[at + (r + u32(ROWS / 2)) % u32(ROWS)]);
        }
      }
    }
  }
  @if(!subgroups) {
    // One barrier for all sums: then a lane adds up a row of one token.
    for (var s = 0u; s < u32(SUMS); s++) {
      shares[lane * u32(SHARES) + s] = sum[s];
    }
    @if(normed) {
      for (var j = 0u; j < u32(TOKENS); j++) {
        shares[lane * u32(SHARES) + u32(SUMS) + j] = dot(square[j], vec4f(1.0));
      }
    }
    workgroupBarrier();
    let up_at = select(0u, outputs, params.swiglu != 0u);
    let rows = min(outputs, params.rows - first);
    for (var s = lane; s < rows * u32(TOKENS); s += u32(LANES)) {
      let j = s / rows;
      let r = s % rows;
      // One loop for all that a row needs: software adapters unroll it, and take long over every copy.
      var totals = vec3f(0.0);
      for (var i = 0u; i < u32(LANES); i++) {
        let at = i * u32(SHARES);
        let row_at = at + j * u32(ROWS) + r;
        totals += vec3f(shares[row_at], shares[row_at + up_at], shares[at + u32(SUMS) + j]);
      }
      @if(normed) {
        scale = norm_scale(totals.z);
      }
      finish(first_token + j, first + r, scale * totals.x, scale * totals.y);
    }
  }
}

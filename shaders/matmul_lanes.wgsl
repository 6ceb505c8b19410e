// y[t, r] = Σ_c W[r, c] · x[t, c]      (+ y[t, r] when accumulating), for many t, without workgroup memory
//   The product of matmul.wgsl for adapters with narrow subgroups, which are processors: there a barrier costs hundreds of
//   operations, workgroup memory is no nearer than any other, and a load costs as much as tens of multiply-adds, since it is
//   done lane by lane. So each lane decodes rows of its own, and a subgroup loads a chunk of x once for all of them.
//   W quantised [rows, 32·chunks] · x [T, 32·chunks] f32 · y [T, row_stride] f32, columns row_offset … row_offset + rows
//   workgroup: one subgroup of at most 8 lanes; ROWS rows × TOKENS tokens; lane l has rows l, l + LANES, …; the eight vec4s
//   of a chunk of x lie in the lanes, SHARE in each, and are broadcast
//   grid: (⌈rows / ROWS⌉ folded over x and y, ⌈T / TOKENS⌉)
//   int8: x [T, chunks, 8] vec2u, small integers i and their scale s, as quantize_activations.wgsl leaves them. With w = d·q + m,
//   Σ w·x = s·d·Σ q·i + m·s·Σ i over each chunk; sums of integers are exact. The eight vec2u lie in the lanes as the vec4s do.
//   experts: tile z of `routing` (see expert_groups.wgsl) is a run of routed pairs p of one slot; x row p / x_share, y row p
//   source: qwen35.md §2
import package::lib::product::{params, store, tile_at, x_row_of, y_row_at};
@if(!int8) import package::lib::product::activations;
import package::lib::step::halted;
@if(!int8) import package::lib::weights::load_weights;
@if(int8) import package::lib::weights::load_quants;
import constants::{LANES, ROWS, TOKENS};
enable subgroups;

const LANE_ROWS = ROWS / LANES;
const SHARE = 8 / LANES;

@if(int8) @group(1) @binding(4) var<storage, read> quantized: array<vec2u>;

// What a lane loads of x.
@if(!int8) alias Share = vec4f;
@if(int8) alias Share = vec2u;

@if(!int8)
fn share_at(i: u32) -> Share {
  return activations[i];
}

@if(int8)
fn share_at(i: u32) -> Share {
  return quantized[i];
}

// s + w·x. One chain of additions: the sums of other tokens and rows fill its waits, and four chains a sum would not fit
// the registers.
fn add_product(w: vec4f, x: vec4f, s: f32) -> f32 {
  return fma(w.w, x.w, fma(w.z, x.z, fma(w.y, x.y, fma(w.x, x.x, s))));
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
  let first_row = (group.x + group.y * groups.x) * u32(ROWS);
  if (first_row >= params.rows) {
    return;
  }
  let tile = tile_at(group.z, u32(TOKENS));
  if (tile.first >= tile.end) {
    return;
  }
  var w_at: array<u32, LANE_ROWS>; // in chunks
  for (var r = 0u; r < u32(LANE_ROWS); r++) {
    w_at[r] = (tile.w_row + min(first_row + lane + r * u32(LANES), params.rows - 1u)) * params.chunks;
  }
  var x_at: array<u32, TOKENS>; // in shares
  var y_row: array<u32, TOKENS>;
  for (var j = 0u; j < u32(TOKENS); j++) {
    y_row[j] = y_row_at(min(tile.first + j, tile.end - 1u));
    x_at[j] = x_row_of(y_row[j]) * params.chunks * 8u + lane * u32(SHARE);
  }

  var sum: array<f32, LANE_ROWS * TOKENS>;
  for (var c = 0u; c < params.chunks; c++) {
    var x: array<Share, TOKENS * SHARE>;
    for (var j = 0u; j < u32(TOKENS); j++) {
      for (var i = 0u; i < u32(SHARE); i++) {
        x[j * u32(SHARE) + i] = share_at(x_at[j] + c * 8u + i);
      }
    }
    for (var r = 0u; r < u32(LANE_ROWS); r++) {
      @if(!int8) let w = load_weights(w_at[r] + c);
      @if(int8) let w = load_quants(w_at[r] + c);
      // Broadcasts from constant lanes, hence no loop: shuffles cost SwiftShader three times as much.
      for (var j = 0u; j < u32(TOKENS); j++) {
        let v = j * u32(SHARE);
        @if(!int8) {
          var s = sum[r * u32(TOKENS) + j];
          s = add_product(w[0], subgroupBroadcast(x[v + 0u % u32(SHARE)], 0u / u32(SHARE)), s);
          s = add_product(w[1], subgroupBroadcast(x[v + 1u % u32(SHARE)], 1u / u32(SHARE)), s);
          s = add_product(w[2], subgroupBroadcast(x[v + 2u % u32(SHARE)], 2u / u32(SHARE)), s);
          s = add_product(w[3], subgroupBroadcast(x[v + 3u % u32(SHARE)], 3u / u32(SHARE)), s);
          s = add_product(w[4], subgroupBroadcast(x[v + 4u % u32(SHARE)], 4u / u32(SHARE)), s);
          s = add_product(w[5], subgroupBroadcast(x[v + 5u % u32(SHARE)], 5u / u32(SHARE)), s);
          s = add_product(w[6], subgroupBroadcast(x[v + 6u % u32(SHARE)], 6u / u32(SHARE)), s);
          s = add_product(w[7], subgroupBroadcast(x[v + 7u % u32(SHARE)], 7u / u32(SHARE)), s);
          sum[r * u32(TOKENS) + j] = s;
        }
        @if(int8) {
          let x0 = subgroupBroadcast(x[v + 0u % u32(SHARE)], 0u / u32(SHARE));
          let x1 = subgroupBroadcast(x[v + 1u % u32(SHARE)], 1u / u32(SHARE));
          let x2 = subgroupBroadcast(x[v + 2u % u32(SHARE)], 2u / u32(SHARE));
          let x3 = subgroupBroadcast(x[v + 3u % u32(SHARE)].x, 3u / u32(SHARE));
          let x4 = subgroupBroadcast(x[v + 4u % u32(SHARE)].x, 4u / u32(SHARE));
          let x5 = subgroupBroadcast(x[v + 5u % u32(SHARE)].x, 5u / u32(SHARE));
          let x6 = subgroupBroadcast(x[v + 6u % u32(SHARE)].x, 6u / u32(SHARE));
          let x7 = subgroupBroadcast(x[v + 7u % u32(SHARE)].x, 7u / u32(SHARE));
          let first = dot4I8Packed(w.first.x, x0.x) + dot4I8Packed(w.first.y, x1.x) +
            dot4I8Packed(w.first.z, x2.x) + dot4I8Packed(w.first.w, x3);
          let last = dot4I8Packed(w.last.x, x4) + dot4I8Packed(w.last.y, x5) +
            dot4I8Packed(w.last.z, x6) + dot4I8Packed(w.last.w, x7);
          let beside = bitcast<vec3f>(vec3u(x0.y, x1.y, x2.y));
          sum[r * u32(TOKENS) + j] += fma(beside.x, dot(w.d, vec2f(vec2i(first, last))), dot(w.m, beside.yz));
        }
      }
    }
  }
  for (var r = 0u; r < u32(LANE_ROWS); r++) {
    let row = first_row + lane + r * u32(LANES);
    for (var j = 0u; j < u32(TOKENS); j++) {
      if (row < params.rows && tile.first + j < tile.end) {
        store(y_row[j], row, sum[r * u32(TOKENS) + j]);
      }
    }
  }
}

// y[t, r] = Σ_c W[r, c] · x[t, c]      (+ y[t, r] when accumulating), for many t
//   W quantised [rows, 32·chunks] · x [T, 32·chunks] f32 · y [T, row_stride] f32, columns row_offset … row_offset + rows
//   workgroup: a tile of 32 rows × 32 tokens, 64 lanes of 4 × 4; per step of 32 columns, 32 lanes decode one chunk of W
//   each, 32 lanes fetch one chunk of x each, into workgroup memory (f16 there in the f16 variant; sums stay f32)
//   grid: (⌈rows / 32⌉ folded over x and y, ⌈T / 32⌉)
//   experts: tile z of `routing` (see expert_groups.wgsl) is a run of routed pairs p of one slot; x row p / x_share, y row p
//   source: qwen35.md §2
import package::lib::product::{activations, pair_at, params, routing, store};
import package::lib::step::halted;
import package::lib::weights::load_weights;
@if(f16) enable f16;

const TILE = 32u;
const LANES = 64u;
const MAX_HALF = 65504.0;


// [32 rows or tokens][8 vec4s of columns]; a row is padded by one vec4 so that a column's lanes hit different banks.
const PITCH = 9u;
@if(!f16) var<workgroup> w_tile: array<vec4f, TILE * PITCH>;
@if(!f16) var<workgroup> x_tile: array<vec4f, TILE * PITCH>;
@if(f16) var<workgroup> w_tile: array<vec4h, TILE * PITCH>;
@if(f16) var<workgroup> x_tile: array<vec4h, TILE * PITCH>;

@if(!f16)
fn stored(v: vec4f) -> vec4f {
  return v;
}

// An activation beyond the range of f16 would become infinite, or anything: WGSL leaves it open.
@if(f16)
fn stored(v: vec4f) -> vec4h {
  return vec4h(clamp(v, vec4f(-MAX_HALF), vec4f(MAX_HALF)));
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
  let first_row = (group.x + group.y * groups.x) * TILE;
  if (first_row >= params.rows) {
    return;
  }
  var w_base = 0u;
  var first_token = group.z * TILE;
  var tokens = params.tokens;
  @if(experts) {
    let tile = routing[group.z];
    let slot = tile.x - params.first_slot;
    if (tile.z == 0u || slot >= params.slot_count) {
      return;
    }
    w_base = slot * params.rows;
    first_token = tile.y;
    tokens = tile.y + tile.z;
  }

  // What this lane fetches: a row of W, or a token of x.
  let fetch = lane % TILE;
  let w_chunk = (w_base + min(first_row + fetch, params.rows - 1u)) * params.chunks;
  var fetched_token = min(first_token + fetch, tokens - 1u);
  @if(experts) {
    fetched_token = pair_at(fetched_token) / params.x_share;
  }
  let x_chunk = fetched_token * params.chunks;

  let row = (lane % 8u) * 4u;
  let token = (lane / 8u) * 4u;
  var acc: array<vec4f, 4>; // [token][row]
  for (var c = 0u; c < params.chunks; c++) {
    if (lane < TILE) {
      let w = load_weights(w_chunk + c);
      for (var i = 0u; i < 8u; i++) {
        w_tile[fetch * PITCH + i] = stored(w[i]);
      }
    } else {
      for (var i = 0u; i < 8u; i++) {
        x_tile[fetch * PITCH + i] = stored(activations[(x_chunk + c) * 8u + i]);
      }
    }
    workgroupBarrier();
    for (var i = 0u; i < 8u; i++) {
      // Products and sums in f32 also of f16 tiles: f16 sums turned near-tied routers, and cost a quarter of the digits.
      let w0 = vec4f(w_tile[row * PITCH + i]);
      let w1 = vec4f(w_tile[(row + 1u) * PITCH + i]);
      let w2 = vec4f(w_tile[(row + 2u) * PITCH + i]);
      let w3 = vec4f(w_tile[(row + 3u) * PITCH + i]);
      for (var j = 0u; j < 4u; j++) {
        let v = vec4f(x_tile[(token + j) * PITCH + i]);
        acc[j] += vec4f(dot(w0, v), dot(w1, v), dot(w2, v), dot(w3, v));
      }
    }
    workgroupBarrier();
  }

  for (var j = 0u; j < 4u; j++) {
    var t = first_token + token + j;
    if (t < tokens) {
      @if(experts) {
        t = pair_at(t);
      }
      for (var i = 0u; i < 4u; i++) {
        let r = first_row + row + i;
        if (r < params.rows) {
          store(t, r, acc[j][i]);
        }
      }
    }
  }
}

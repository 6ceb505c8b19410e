// y[t, r] = Σ_c W[r, c] · x[t, c]      (+ y[t, r] when accumulating), for many t
//   W quantised [rows, 32·chunks] · x [T, 32·chunks] f32 · y [T, row_stride] f32, columns row_offset … row_offset + rows
//   workgroup: a tile of ROWS rows × TOKENS tokens. Step by step of 32 columns, its lanes decode a chunk of each row and fetch
//   one of each token into workgroup memory (f16 there in the f16 variant; sums stay f32), into halves of it in turn: so one
//   barrier a step, and the next step's loads are on their way while this step's products are summed.
//   lane: LANE_ROWS × LANE_TOKENS products in registers. Its rows and tokens are not neighbours but as far apart as there are
//   lanes along the side, so that neighbouring lanes read and write neighbouring places.
//   int8: over small integers, as in matmul_lanes.wgsl; the tiles hold four to a word, their scales and sums lie beside them
//   grid: (⌈rows / ROWS⌉ folded over x and y, ⌈T / TOKENS⌉)
//   experts: tile z of `routing` (see expert_groups.wgsl) is a run of routed pairs p of one slot; x row p / x_share, y row p
//   source: qwen35.md §2
import package::lib::product::{params, store, tile_at, x_row_of, y_row_at};
@if(!int8) import package::lib::product::activations;
import package::lib::step::halted;
@if(!int8) import package::lib::weights::load_weights;
@if(int8) import package::lib::weights::load_quants;
import constants::{LANE_ROWS, LANE_TOKENS, ROWS, TOKENS};
@if(f16) enable f16;

const ROW_LANES = ROWS / LANE_ROWS;
const TOKEN_LANES = TOKENS / LANE_TOKENS;
const LANES = ROW_LANES * TOKEN_LANES;
const MAX_HALF = 65504.0;

@if(int8) @group(1) @binding(4) var<storage, read> quantized: array<vec2u>;

// Four columns in a tile.
@if(!f16 && !int8) alias Four = vec4f;
@if(f16) alias Four = vec4h;
@if(int8) alias Four = u32;

// Two steps of [8 fours of columns][rows or tokens].
var<workgroup> w_tile: array<Four, 2 * 8 * ROWS>;
var<workgroup> x_tile: array<Four, 2 * 8 * TOKENS>;
// Two steps of a row's d and m, each for either half of a chunk, and of [s, both halves' s·Σi][tokens].
@if(int8) var<workgroup> w_scale: array<vec4f, 2 * ROWS>;
@if(int8) var<workgroup> x_scale: array<f32, 2 * 3 * TOKENS>;
// Where each token's x begins, in fours.
var<workgroup> x_row: array<u32, TOKENS>;

@if(!f16 && !int8)
fn stored(v: vec4f) -> Four {
  return v;
}

// An activation beyond the range of f16 would become infinite, or anything: WGSL leaves it open.
@if(f16)
fn stored(v: vec4f) -> Four {
  return Four(clamp(v, vec4f(-MAX_HALF), vec4f(MAX_HALF)));
}

// Place of four i of a token in half `step` of the tile. Eight lanes write the eight fours of one token, which would all fall
// on the same banks; turning tokens round within eights spreads them.
fn x_place(step: u32, i: u32, token: u32) -> u32 {
  return (step * 8u + i) * u32(TOKENS) + (token ^ i);
}

fn w_place(step: u32, i: u32, row: u32) -> u32 {
  return (step * 8u + i) * u32(ROWS) + row;
}

// Brings chunk c into half `step` of the tiles. @param w_row of the tile's first row, last_row of the matrix
@if(!int8)
fn fetch(c: u32, step: u32, lane: u32, w_row: u32, last_row: u32) {
  for (var row = lane; row < u32(ROWS); row += u32(LANES)) {
    let w = load_weights(min(w_row + row, last_row) * params.chunks + c);
    for (var i = 0u; i < 8u; i++) {
      w_tile[w_place(step, i, row)] = stored(w[i]);
    }
  }
  for (var at = lane; at < u32(8 * TOKENS); at += u32(LANES)) {
    let i = at % 8u;
    let token = at / 8u;
    x_tile[x_place(step, i, token)] = stored(activations[x_row[token] + 8u * c + i]);
  }
}

@if(int8)
fn fetch(c: u32, step: u32, lane: u32, w_row: u32, last_row: u32) {
  for (var row = lane; row < u32(ROWS); row += u32(LANES)) {
    let w = load_quants(min(w_row + row, last_row) * params.chunks + c);
    for (var i = 0u; i < 4u; i++) {
      w_tile[w_place(step, i, row)] = w.first[i];
      w_tile[w_place(step, 4u + i, row)] = w.last[i];
    }
    w_scale[step * u32(ROWS) + row] = vec4f(w.d, w.m);
  }
  for (var at = lane; at < u32(8 * TOKENS); at += u32(LANES)) {
    let i = at % 8u;
    let token = at / 8u;
    let x = quantized[x_row[token] + 8u * c + i];
    x_tile[x_place(step, i, token)] = x.x;
    if (i < 3u) {
      x_scale[(step * 3u + i) * u32(TOKENS) + token] = bitcast<f32>(x.y);
    }
  }
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
  for (var token = lane; token < u32(TOKENS); token += u32(LANES)) {
    let place = min(tile.first + token, tile.end - 1u);
    x_row[token] = x_row_of(y_row_at(place)) * params.chunks * 8u;
  }
  workgroupBarrier();

  let row = lane % u32(ROW_LANES);
  let token = lane / u32(ROW_LANES);
  let w_row = tile.w_row + first_row;
  let last_row = tile.w_row + params.rows - 1u;
  var sum: array<f32, LANE_TOKENS * LANE_ROWS>; // [token][row]
  for (var c = 0u; c <= params.chunks; c++) {
    if (c < params.chunks) {
      fetch(c, c % 2u, lane, w_row, last_row);
    }
    if (c > 0u) {
      let step = (c - 1u) % 2u;
      @if(!int8) {
        for (var i = 0u; i < 8u; i++) {
          // Products and sums in f32 also of f16 tiles: f16 sums turned near-tied routers, and cost a quarter of the digits.
          var w: array<vec4f, LANE_ROWS>;
          for (var r = 0u; r < u32(LANE_ROWS); r++) {
            w[r] = vec4f(w_tile[w_place(step, i, row + r * u32(ROW_LANES))]);
          }
          for (var j = 0u; j < u32(LANE_TOKENS); j++) {
            let x = vec4f(x_tile[x_place(step, i, token + j * u32(TOKEN_LANES))]);
            for (var r = 0u; r < u32(LANE_ROWS); r++) {
              sum[j * u32(LANE_ROWS) + r] += dot(w[r], x);
            }
          }
        }
      }
      @if(int8) {
        for (var half = 0u; half < 2u; half++) {
          var dots = array<i32, LANE_TOKENS * LANE_ROWS>();
          for (var i = 4u * half; i < 4u * half + 4u; i++) {
            var w: array<u32, LANE_ROWS>;
            for (var r = 0u; r < u32(LANE_ROWS); r++) {
              w[r] = w_tile[w_place(step, i, row + r * u32(ROW_LANES))];
            }
            for (var j = 0u; j < u32(LANE_TOKENS); j++) {
              let x = x_tile[x_place(step, i, token + j * u32(TOKEN_LANES))];
              for (var r = 0u; r < u32(LANE_ROWS); r++) {
                dots[j * u32(LANE_ROWS) + r] += dot4I8Packed(w[r], x);
              }
            }
          }
          for (var j = 0u; j < u32(LANE_TOKENS); j++) {
            let at = token + j * u32(TOKEN_LANES);
            let s = x_scale[step * 3u * u32(TOKENS) + at];
            let sum_x = x_scale[(step * 3u + 1u + half) * u32(TOKENS) + at];
            for (var r = 0u; r < u32(LANE_ROWS); r++) {
              let w = w_scale[step * u32(ROWS) + row + r * u32(ROW_LANES)];
              let i = j * u32(LANE_ROWS) + r;
              sum[i] += fma(s, w[half] * f32(dots[i]), w[2u + half] * sum_x);
            }
          }
        }
      }
    }
    workgroupBarrier(); // what was fetched is there, and the other half has been read
  }

  for (var j = 0u; j < u32(LANE_TOKENS); j++) {
    let place = tile.first + token + j * u32(TOKEN_LANES);
    if (place < tile.end) {
      let t = y_row_at(place);
      for (var r = 0u; r < u32(LANE_ROWS); r++) {
        let at = first_row + row + r * u32(ROW_LANES);
        if (at < params.rows) {
          store(t, at, sum[j * u32(LANE_ROWS) + r]);
        }
      }
    }
  }
}

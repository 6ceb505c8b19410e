// y[t, r] = Σ_c W[r, c] · x[t, c]      (+ y[t, r] when accumulating), for many t, by the adapter's matrix units
//   As matmul.wgsl, with the products of a tile shared out to subgroups, each of which multiplies M × K matrices of weights
//   with K × N matrices of x. Sums are f32 whatever the tiles are.
//   W quantised [rows, 32·chunks] · x [T, 32·chunks] f32 · y [T, row_stride] f32, columns row_offset … row_offset + rows
//   workgroup: a tile of ROWS rows × TOKENS tokens; subgroups of LANES lanes, each with WAVE_ROWS × WAVE_TOKENS of the tile
//   grid: (⌈rows / ROWS⌉ folded over x and y, ⌈T / TOKENS⌉)
//   experts: as in matmul.wgsl
//   source: qwen35.md §2
import package::lib::product::{activations, params, store, tile_at, x_row_of, y_row_at};
import package::lib::step::halted;
import package::lib::weights::load_weights;
import constants::{K, LANES, M, N, ROWS, STRIDE, TOKENS, WAVE_ROWS, WAVE_TOKENS};
enable subgroups;
enable chromium_experimental_subgroup_matrix;
@if(f16) enable f16;
// Which subgroup a lane is in follows from its index, which the analysis does not know to be the same for all of them.
diagnostic(off, chromium.subgroup_matrix_uniformity);

@if(f16) alias Component = f16;
@if(!f16) alias Component = f32;
alias Left = subgroup_matrix_left<Component, K, M>;
alias Right = subgroup_matrix_right<Component, N, K>;
alias Sum = subgroup_matrix_result<f32, N, M>;

const ROW_WAVES = ROWS / WAVE_ROWS;
const WAVES = ROW_WAVES * (TOKENS / WAVE_TOKENS);
const WORKGROUP = WAVES * LANES;
const LEFTS = WAVE_ROWS / M;
const RIGHTS = WAVE_TOKENS / N;
const MAX_HALF = 65504.0;

// Two steps of [rows or tokens][columns]; each begins STRIDE after the one before, on other banks.
var<workgroup> w_tile: array<Component, 2 * ROWS * STRIDE>;
var<workgroup> x_tile: array<Component, 2 * TOKENS * STRIDE>;
// A matrix of sums of each subgroup, [tokens][rows].
var<workgroup> sums: array<f32, WAVES * M * N>;
// Where each token's x begins, in vec4s.
var<workgroup> x_row: array<u32, TOKENS>;

@if(!f16)
fn stored(v: vec4f) -> vec4f {
  return v;
}

// An activation beyond the range of f16 would become infinite, or anything: WGSL leaves it open.
@if(f16)
fn stored(v: vec4f) -> vec4h {
  return vec4h(clamp(v, vec4f(-MAX_HALF), vec4f(MAX_HALF)));
}

// Brings chunk c into half `step` of the tiles. @param w_row of the tile's first row, last_row of the matrix
fn fetch(c: u32, step: u32, lane: u32, w_row: u32, last_row: u32) {
  for (var row = lane; row < u32(ROWS); row += u32(WORKGROUP)) {
    let w = load_weights(min(w_row + row, last_row) * params.chunks + c);
    let at = (step * u32(ROWS) + row) * u32(STRIDE);
    for (var i = 0u; i < 8u; i++) {
      let v = stored(w[i]);
      w_tile[at + 4u * i] = v.x;
      w_tile[at + 4u * i + 1u] = v.y;
      w_tile[at + 4u * i + 2u] = v.z;
      w_tile[at + 4u * i + 3u] = v.w;
    }
  }
  for (var place = lane; place < u32(8 * TOKENS); place += u32(WORKGROUP)) {
    let i = place % 8u;
    let token = place / 8u;
    let at = (step * u32(TOKENS) + token) * u32(STRIDE) + 4u * i;
    let v = stored(activations[x_row[token] + 8u * c + i]);
    x_tile[at] = v.x;
    x_tile[at + 1u] = v.y;
    x_tile[at + 2u] = v.z;
    x_tile[at + 3u] = v.w;
  }
}

@compute @workgroup_size(WORKGROUP)
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
  for (var token = lane; token < u32(TOKENS); token += u32(WORKGROUP)) {
    let place = min(tile.first + token, tile.end - 1u);
    x_row[token] = x_row_of(y_row_at(place)) * params.chunks * 8u;
  }
  workgroupBarrier();

  let wave = lane / u32(LANES);
  let wave_row = (wave % u32(ROW_WAVES)) * u32(WAVE_ROWS);
  let wave_token = (wave / u32(ROW_WAVES)) * u32(WAVE_TOKENS);
  let w_row = tile.w_row + first_row;
  let last_row = tile.w_row + params.rows - 1u;
  var sum: array<Sum, RIGHTS * LEFTS>;
  for (var c = 0u; c <= params.chunks; c++) {
    if (c < params.chunks) {
      fetch(c, c % 2u, lane, w_row, last_row);
    }
    if (c > 0u) {
      let step = (c - 1u) % 2u;
      for (var k = 0u; k < 32u; k += u32(K)) {
        var left: array<Left, LEFTS>;
        for (var r = 0u; r < u32(LEFTS); r++) {
          let row = step * u32(ROWS) + wave_row + r * u32(M);
          left[r] = subgroupMatrixLoad<Left, row_major>(&w_tile, row * u32(STRIDE) + k, u32(STRIDE));
        }
        for (var j = 0u; j < u32(RIGHTS); j++) {
          let token = step * u32(TOKENS) + wave_token + j * u32(N);
          let right = subgroupMatrixLoad<Right, col_major>(&x_tile, token * u32(STRIDE) + k, u32(STRIDE));
          for (var r = 0u; r < u32(LEFTS); r++) {
            let at = j * u32(LEFTS) + r;
            sum[at] = subgroupMatrixMultiplyAccumulate(left[r], right, sum[at]);
          }
        }
      }
    }
    workgroupBarrier(); // what was fetched is there, and the other half has been read
  }

  for (var at = 0u; at < u32(RIGHTS * LEFTS); at++) {
    let base = wave * u32(M * N);
    subgroupMatrixStore<col_major>(&sums, base, sum[at], u32(M));
    workgroupBarrier();
    for (var i = lane % u32(LANES); i < u32(M * N); i += u32(LANES)) {
      let row = first_row + wave_row + (at % u32(LEFTS)) * u32(M) + i % u32(M);
      let place = tile.first + wave_token + (at / u32(LEFTS)) * u32(N) + i / u32(M);
      if (row < params.rows && place < tile.end) {
        store(y_row_at(place), row, sums[base + i]);
      }
    }
    workgroupBarrier();
  }
}

// y[t, r] = Σ_c W[r, c] · x[t, c]      (+ y[t, r] when accumulating), for many t, in subgroups of four lanes
//   The product of matmul_lanes.wgsl for SwiftShader, which compiles quickly and optimises little. It unrolls no loop, and an
//   array with an index that it does not know lies in memory, which is read and written lane by lane, at tens of operations a
//   number. What has a name, or is indexed by constants, does not. So all that is done for a chunk is written out here.
//   W quantised [rows, 32·chunks] · x [T, 32·chunks] f32 · y [T, row_stride] f32, columns row_offset … row_offset + rows
//   workgroup: one quad; ROWS rows × TOKENS tokens; lane l has rows l, l + 4, …; of the eight vec4s of a chunk of x each lane
//   loads two, which are broadcast
//   grid: (⌈rows / ROWS⌉ folded over x and y, ⌈T / TOKENS⌉)
//   experts: tile z of `routing` (see expert_groups.wgsl) is a run of routed pairs p of one slot; x row p / x_share, y row p
//   source: qwen35.md §2
import package::lib::product::{activations, params, store, tile_at, x_row_of, y_row_at};
import package::lib::step::halted;
import package::lib::weights::load_weights;
enable subgroups;

const LANES = 4u;
const LANE_ROWS = 4u;
const ROWS = LANES * LANE_ROWS;
const TOKENS = 8u;

// A chunk of W for a lane: of each four columns a matrix, which has the lane's rows as columns.
alias Chunk = array<mat4x4f, 8>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  if (halted()) {
    return;
  }
  let first_row = (group.x + group.y * groups.x) * ROWS;
  if (first_row >= params.rows) {
    return;
  }
  let tile = tile_at(group.z, TOKENS);
  if (tile.first >= tile.end) {
    return;
  }
  var w_at: array<u32, LANE_ROWS>; // in chunks
  for (var r = 0u; r < LANE_ROWS; r++) {
    w_at[r] = (tile.w_row + min(first_row + lane + r * LANES, params.rows - 1u)) * params.chunks;
  }
  var x_at: array<u32, TOKENS>; // in vec4s
  var y_row: array<u32, TOKENS>;
  for (var j = 0u; j < TOKENS; j++) {
    y_row[j] = y_row_at(min(tile.first + j, tile.end - 1u));
    x_at[j] = x_row_of(y_row[j]) * params.chunks * 8u + lane * 2u;
  }

  // By tokens; a component for each of the lane's rows.
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  var s4 = vec4f();
  var s5 = vec4f();
  var s6 = vec4f();
  var s7 = vec4f();
  for (var c = 0u; c < params.chunks; c++) {
    let w = chunk_of_rows(
      load_weights(w_at[0] + c),
      load_weights(w_at[1] + c),
      load_weights(w_at[2] + c),
      load_weights(w_at[3] + c),
    );
    s0 = add_products(s0, w, x_at[0] + c * 8u);
    s1 = add_products(s1, w, x_at[1] + c * 8u);
    s2 = add_products(s2, w, x_at[2] + c * 8u);
    s3 = add_products(s3, w, x_at[3] + c * 8u);
    s4 = add_products(s4, w, x_at[4] + c * 8u);
    s5 = add_products(s5, w, x_at[5] + c * 8u);
    s6 = add_products(s6, w, x_at[6] + c * 8u);
    s7 = add_products(s7, w, x_at[7] + c * 8u);
  }
  var sum = array<vec4f, TOKENS>(s0, s1, s2, s3, s4, s5, s6, s7);
  for (var j = 0u; j < TOKENS; j++) {
    for (var r = 0u; r < LANE_ROWS; r++) {
      let row = first_row + lane + r * LANES;
      if (row < params.rows && tile.first + j < tile.end) {
        store(y_row[j], row, sum[j][r]);
      }
    }
  }
}

fn chunk_of_rows(a: array<vec4f, 8>, b: array<vec4f, 8>, c: array<vec4f, 8>, d: array<vec4f, 8>) -> Chunk {
  return Chunk(
    mat4x4f(a[0], b[0], c[0], d[0]),
    mat4x4f(a[1], b[1], c[1], d[1]),
    mat4x4f(a[2], b[2], c[2], d[2]),
    mat4x4f(a[3], b[3], c[3], d[3]),
    mat4x4f(a[4], b[4], c[4], d[4]),
    mat4x4f(a[5], b[5], c[5], d[5]),
    mat4x4f(a[6], b[6], c[6], d[6]),
    mat4x4f(a[7], b[7], c[7], d[7]),
  );
}

// The sums of one token and what a chunk adds to them. x_at: where the lane's quarter of the chunk of x begins.
fn add_products(sum: vec4f, w: Chunk, x_at: u32) -> vec4f {
  let x0 = activations[x_at];
  let x1 = activations[x_at + 1u];
  var s = sum;
  s += quadBroadcast(x0, 0u) * w[0];
  s += quadBroadcast(x1, 0u) * w[1];
  s += quadBroadcast(x0, 1u) * w[2];
  s += quadBroadcast(x1, 1u) * w[3];
  s += quadBroadcast(x0, 2u) * w[4];
  s += quadBroadcast(x1, 2u) * w[5];
  s += quadBroadcast(x0, 3u) * w[6];
  s += quadBroadcast(x1, 3u) * w[7];
  return s;
}

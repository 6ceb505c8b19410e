// y[t, r] = Σ_c W[r, c] · x[t, c]      (+ y[t, r] when accumulating), for many t, without workgroup memory
//   The product of matmul.wgsl for adapters with narrow subgroups, which are processors: there a barrier costs hundreds of
//   operations and workgroup memory is no nearer than any other, but a decoded weight in a register is free to use again.
//   W quantised [rows, 32·chunks] · x [T, 32·chunks] f32 · y [T, row_stride] f32, columns row_offset … row_offset + rows
//   workgroup: one subgroup; ROWS rows × TOKENS tokens; lanes stride over chunks of 32 columns, decode each once for all
//   tokens, and add up at the end
//   grid: (⌈rows / ROWS⌉ folded over x and y, ⌈T / TOKENS⌉)
//   experts: tile z of `routing` (see expert_groups.wgsl) is a run of routed pairs p of one slot; x row p / x_share, y row p
//   source: qwen35.md §2
import package::lib::product::{activations, pair_at, params, routing, store};
import package::lib::step::halted;
import package::lib::weights::load_weights;
import constants::{LANES, ROWS, TOKENS};
enable subgroups;


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
  var w_row = first_row;
  var first_token = group.z * u32(TOKENS);
  var end = min(first_token + u32(TOKENS), params.tokens);
  @if(experts) {
    let tile = routing[group.z];
    let slot = tile.x - params.first_slot;
    if (tile.z == 0u || slot >= params.slot_count) {
      return;
    }
    w_row += slot * params.rows;
    first_token = tile.y;
    end = tile.y + tile.z;
  }
  let last_row = w_row + min(u32(ROWS), params.rows - first_row) - 1u;
  var x_row: array<u32, TOKENS>;
  var y_row: array<u32, TOKENS>;
  for (var j = 0u; j < u32(TOKENS); j++) {
    var t = min(first_token + j, end - 1u);
    @if(experts) t = pair_at(t);
    y_row[j] = t;
    @if(experts) t /= params.x_share;
    x_row[j] = t * params.chunks;
  }

  var sum: array<f32, ROWS * TOKENS>;
  for (var c = lane; c < params.chunks; c += u32(LANES)) {
    var xs: array<vec4f, 8 * TOKENS>;
    for (var j = 0u; j < u32(TOKENS); j++) {
      for (var i = 0u; i < 8u; i++) {
        xs[8u * j + i] = activations[(x_row[j] + c) * 8u + i];
      }
    }
    for (var r = 0u; r < u32(ROWS); r++) {
      let w = load_weights(min(w_row + r, last_row) * params.chunks + c);
      for (var j = 0u; j < u32(TOKENS); j++) {
        var dots = w[0] * xs[8u * j];
        for (var i = 1u; i < 8u; i++) {
          dots = fma(w[i], xs[8u * j + i], dots);
        }
        sum[r * u32(TOKENS) + j] += dot(dots, vec4f(1.0));
      }
    }
  }
  for (var r = 0u; r < u32(ROWS); r++) {
    for (var j = 0u; j < u32(TOKENS); j++) {
      let total = subgroupAdd(sum[r * u32(TOKENS) + j]);
      if (lane == 0u && first_row + r < params.rows && first_token + j < end) {
        store(y_row[j], first_row + r, total);
      }
    }
  }
}

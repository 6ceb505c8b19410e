// x[t, c] += bias[c] + the learned grid of positions, bilinear between its points
//   x [count, stride] f32: patches first … first + count in merge order · grid [G, G, columns] f32
//   rows [height], columns_at [width]: where a row (column) of patches lies in the grid, as (point before, share of the
//   next); from the CPU, which divides exactly
//   one invocation: four columns of one patch; grid: (⌈columns / 4 / 64⌉, patches)
//   source: qwen35.md §7
import package::lib::patch_order::patch_place;

struct Params {
  first: u32,
  grid_width: u32,
  merge: u32,
  // G.
  points: u32,
  // In vec4s.
  columns: u32,
  stride: u32,
}

@group(1) @binding(0) var<storage, read> grid: array<vec4f>;
@group(1) @binding(1) var<storage, read> bias: array<vec4f>;
@group(1) @binding(2) var<storage, read> rows: array<vec2f>;
@group(1) @binding(3) var<storage, read> columns_at: array<vec2f>;
@group(1) @binding(4) var<storage, read_write> x: array<vec4f>;
@group(1) @binding(5) var<uniform> params: Params;

fn point(row: u32, column: u32, c: u32) -> vec4f {
  return grid[(row * params.points + column) * params.columns + c];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let c = id.x;
  if (c >= params.columns) {
    return;
  }
  let place = patch_place(params.first + id.y, params.grid_width, params.merge);
  let row = rows[place.x];
  let column = columns_at[place.y];
  let r0 = u32(row.x);
  let c0 = u32(column.x);
  let r1 = min(r0 + 1u, params.points - 1u);
  let c1 = min(c0 + 1u, params.points - 1u);
  let above = mix(point(r0, c0, c), point(r0, c1, c), column.y);
  let below = mix(point(r1, c0, c), point(r1, c1, c), column.y);
  x[id.y * params.stride + c] += bias[c] + mix(above, below, row.y);
}

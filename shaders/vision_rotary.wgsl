// x[t, head] = turned(x[t, head] + bias[head]) in place: dims i and i + D/2 (i < D/2) turn by the angle of the patch's row
// (i < D/4) or column (i ≥ D/4)
//   x [T, stride] f32, heads of D side by side · bias f32, heads·D of it
//   turns [n, D/4] (cos, sin) of the angles of position n: from the CPU in float64
//   one invocation: one pair of one head of one patch; grid: (⌈heads·D / 2 / 64⌉, patches)
//   source: qwen35.md §7
import package::lib::patch_order::patch_place;

struct Params {
  first: u32,
  grid_width: u32,
  merge: u32,
  heads: u32,
  head_dim: u32,
  stride: u32,
  // Where the bias of this product begins.
  bias_at: u32,
}

@group(1) @binding(0) var<storage, read_write> x: array<f32>;
@group(1) @binding(1) var<storage, read> bias: array<f32>;
@group(1) @binding(2) var<storage, read> turns: array<vec2f>;
@group(1) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let half = params.head_dim / 2u;
  let quarter = params.head_dim / 4u;
  let head = id.x / half;
  let i = id.x % half;
  if (head >= params.heads) {
    return;
  }
  let place = patch_place(params.first + id.y, params.grid_width, params.merge);
  let turn = turns[select(place.y, place.x, i < quarter) * quarter + i % quarter];
  let column = head * params.head_dim + i;
  let at = id.y * params.stride + column;
  let a = x[at] + bias[params.bias_at + column];
  let b = x[at + half] + bias[params.bias_at + column + half];
  x[at] = a * turn.x - b * turn.y;
  x[at + half] = b * turn.x + a * turn.y;
}

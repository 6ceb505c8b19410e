// patches[t - first, channel, y, x] = (pixel / 255 - mean[channel]) / std[channel]
//   pixels [height, width] RGBA bytes · patches [count, 3, P, P] f32, patches in merge order
//   one invocation: one pixel of one patch; grid: (⌈P² / 64⌉, patches)
//   source: qwen35.md §7
import package::lib::patch_order::patch_place;

struct Params {
  first: u32,
  // Patches a row of the picture, and patches a side of a merged square.
  grid_width: u32,
  merge: u32,
  // Pixels a side.
  patch_size: u32,
  mean_r: f32,
  mean_g: f32,
  mean_b: f32,
  std_r: f32,
  std_g: f32,
  std_b: f32,
}

@group(1) @binding(0) var<storage, read> pixels: array<u32>;
@group(1) @binding(1) var<storage, read_write> patches: array<f32>;
@group(1) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let side = params.patch_size;
  let area = side * side;
  if (id.x >= area) {
    return;
  }
  let place = patch_place(params.first + id.y, params.grid_width, params.merge);
  let row = place.x * side + id.x / side;
  let column = place.y * side + id.x % side;
  let rgb = unpack4x8unorm(pixels[row * params.grid_width * side + column]).xyz;
  let mean = vec3f(params.mean_r, params.mean_g, params.mean_b);
  let v = (rgb - mean) / vec3f(params.std_r, params.std_g, params.std_b);
  let at = id.y * 3u * area + id.x;
  patches[at] = v.x;
  patches[at + area] = v.y;
  patches[at + 2u * area] = v.z;
}

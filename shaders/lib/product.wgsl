// What the products y = W x of a quantised matrix share: matvec, matmul and matmul_lanes. x is `activations`, y `products`:
// names that no importing module uses, because the linker renames on a clash and bindings are found by name.
import package::lib::activations::sigmoid;

struct Params {
  rows: u32,
  // Of 32 columns.
  chunks: u32,
  // Place of this dispatch's rows in a row of y, and y's length.
  row_offset: u32,
  row_stride: u32,
  // 0: writes y; 1: adds to y; 2: y is a gate, and becomes silu(y)·product.
  mode: u32,
  // Rows of x (routed pairs, for experts).
  tokens: u32,
  // Experts: pairs that share one x row (top-k for gate and up, 1 for down), and the slots this dispatch's buffer holds.
  x_share: u32,
  first_slot: u32,
  slot_count: u32,
  // Experts in tiles: how many there are in `routing`, before its pairs.
  max_tiles: u32,
  // matvec.wgsl alone: 1 where x is normed on the way, with the norm's eps; 1 where W holds gates and ups.
  norms: u32,
  eps: f32,
  swiglu: u32,
}

@group(1) @binding(4) var<storage, read> activations: array<vec4f>;
@group(1) @binding(5) var<storage, read_write> products: array<f32>;
@group(1) @binding(6) var<uniform> params: Params;
// See expert_groups.wgsl.
@group(1) @binding(7) var<storage, read> routing: array<vec4u>;

// A routed pair, by its place in the order of slots.
fn pair_at(i: u32) -> u32 {
  return routing[params.max_tiles + i / 4u][i % 4u];
}

// The rows of x that a workgroup of many tokens multiplies, as places `first` up to `end` (of tokens, or of routed pairs in the
// order of slots), and the row of W at which their matrix begins. Nothing to do where first is not below end.
struct Tile {
  w_row: u32,
  first: u32,
  end: u32,
}

// The tile z of `tokens` rows each.
@if(!experts)
fn tile_at(z: u32, tokens: u32) -> Tile {
  return Tile(0u, z * tokens, min((z + 1u) * tokens, params.tokens));
}

@if(experts)
fn tile_at(z: u32, tokens: u32) -> Tile {
  let tile = routing[z];
  let slot = tile.x - params.first_slot;
  if (slot >= params.slot_count) {
    return Tile();
  }
  return Tile(slot * params.rows, tile.y, tile.y + tile.z);
}

// Rows of y and of x that belong to a place of a tile.
@if(!experts)
fn y_row_at(place: u32) -> u32 {
  return place;
}

@if(experts)
fn y_row_at(place: u32) -> u32 {
  return pair_at(place);
}

fn x_row_of(y_row: u32) -> u32 {
  @if(experts) return y_row / params.x_share;
  @if(!experts) return y_row;
}

// Puts one product where it belongs: row `row` (of this dispatch) for row `t` of y.
fn store(t: u32, row: u32, product: f32) {
  let at = t * params.row_stride + params.row_offset + row;
  var y = product;
  if (params.mode == 1u) {
    y += products[at];
  } else if (params.mode == 2u) {
    let gate = products[at];
    y *= gate * sigmoid(gate);
  }
  products[at] = y;
}

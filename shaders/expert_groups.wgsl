// Sorts the routed pairs of a pass by slot and cuts each slot's run into tiles for the expert matmul.
//   slots [pairs] u32 · routing: max_tiles × vec4u (slot, first in order, count, 0), then `order` [pairs] u32, pairs by slot
//   Pairs whose expert is in no slot, or not in this wave, have a slot beyond all and are left out.
//   Within a slot the order is that of arrival, which differs from run to run; each pair's product does not depend on it.
//   one workgroup
import package::lib::step::halted;
import constants::{LANES, SLOTS, TILE};

struct Params {
  pairs: u32,
  max_tiles: u32,
}

@group(1) @binding(0) var<storage, read> slots: array<u32>;
@group(1) @binding(1) var<storage, read_write> routing: array<u32>;
@group(1) @binding(2) var<uniform> params: Params;

fn write_tile(tile: u32, slot: u32, first: u32, count: u32) {
  routing[4u * tile] = slot;
  routing[4u * tile + 1u] = first;
  routing[4u * tile + 2u] = count;
}

var<workgroup> counts: array<atomic<u32>, SLOTS>;
var<workgroup> places: array<atomic<u32>, SLOTS>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  if (halted()) {
    return;
  }
  for (var s = lane; s < u32(SLOTS); s += u32(LANES)) {
    atomicStore(&counts[s], 0u);
  }
  workgroupBarrier();
  for (var p = lane; p < params.pairs; p += u32(LANES)) {
    if (slots[p] < u32(SLOTS)) {
      atomicAdd(&counts[slots[p]], 1u);
    }
  }
  workgroupBarrier();
  if (lane == 0u) {
    var place = 0u;
    var tile = 0u;
    for (var s = 0u; s < u32(SLOTS); s++) {
      let count = atomicLoad(&counts[s]);
      atomicStore(&places[s], place);
      for (var first = 0u; first < count; first += u32(TILE)) {
        write_tile(tile, s, place + first, min(u32(TILE), count - first));
        tile++;
      }
      place += count;
    }
    for (; tile < params.max_tiles; tile++) {
      write_tile(tile, 0u, 0u, 0u);
    }
  }
  workgroupBarrier();
  for (var p = lane; p < params.pairs; p += u32(LANES)) {
    if (slots[p] < u32(SLOTS)) {
      routing[4u * params.max_tiles + atomicAdd(&places[slots[p]], 1u)] = p;
    }
  }
}

// Patches come in merge order: squares of MERGE × MERGE patches row by row, and the patches of a square row by row.
// Source: qwen35.md §7.

// Row and column of patch t in a grid `width` patches wide.
fn patch_place(t: u32, width: u32, merge: u32) -> vec2u {
  let square = t / (merge * merge);
  let within = t % (merge * merge);
  let squares = width / merge;
  return vec2u(square / squares, square % squares) * merge + vec2u(within / merge, within % merge);
}

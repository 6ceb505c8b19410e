// K-quants keep two runs of 32 weights in the low and high nibbles of the same 32 bytes; the nibble plane keeps each run's
// weights 0–15 and 16–31 in the low and high nibbles of its own 16 bytes.
import package::lib::raw::raw_u32;
import package::lib::repack::planes::quants;

// The 32 bytes at `offset` to the vectors of the nibble plane for their first and second run.
fn split_nibbles(offset: u32, first_chunk: u32, second_chunk: u32) {
  let low = 0x0f0f0f0fu;
  for (var j = 0u; j < 4u; j++) {
    let a = raw_u32(offset + 4u * j); // weights 4j… of both runs
    let b = raw_u32(offset + 16u + 4u * j); // weights 16+4j…
    quants[4u * first_chunk + j] = (a & low) | ((b & low) << 4u);
    quants[4u * second_chunk + j] = ((a >> 4u) & low) | (b & ~low);
  }
}

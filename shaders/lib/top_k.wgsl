// Radix selection over f32 keys: a first histogram of the upper 11 bits, a second of the next 11 within the bin that holds
// the k-th largest; what is at or above that 22-bit prefix is a candidate.
import constants::LANES;

const BIN_BITS = 11u;
const BINS = 2048u;
const SLICE = BINS / u32(LANES);

// Monotonic: a < b as floats exactly when key(a) < key(b).
fn sort_key(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) != 0u);
}

var<workgroup> slice_sums: array<u32, LANES>;
var<workgroup> found: vec2u;

@group(1) @binding(2) var<storage, read_write> histograms: array<atomic<u32>>;

// The bin of the wanted-th largest element, and how many elements lie above the bin.
fn find_bin(histogram: u32, wanted: u32, lane: u32) -> vec2u {
  var sum = 0u;
  for (var i = 0u; i < SLICE; i++) {
    sum += atomicLoad(&histograms[histogram * BINS + lane * SLICE + i]);
  }
  slice_sums[lane] = sum;
  workgroupBarrier();
  if (lane == 0u) {
    var above = 0u;
    var slice = u32(LANES) - 1u;
    while (slice > 0u && above + slice_sums[slice] < wanted) {
      above += slice_sums[slice];
      slice--;
    }
    var bin = slice * SLICE + SLICE - 1u;
    while (bin > slice * SLICE) {
      let count = atomicLoad(&histograms[histogram * BINS + bin]);
      if (above + count >= wanted) {
        break;
      }
      above += count;
      bin--;
    }
    found = vec2u(bin, above);
  }
  return workgroupUniformLoad(&found);
}

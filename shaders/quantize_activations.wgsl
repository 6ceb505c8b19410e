// q[t, c] = round(x[t, c] / s), s = max |x| / 127 over each chunk of 32 columns: what products of small integers read.
//   x [n, 32] f32, a chunk a row
//   quantized [n, 8] vec2u: of four values after four, the signed bytes, and beside the first three s, s·Σq of the first 16
//   values and of the last 16, as bits of f32. Side by side, because the lanes that share a chunk load and broadcast both.
//   one lane a chunk; grid: (⌈n / 64⌉ folded over x and y)
import package::lib::step::halted;

struct Params {
  chunks: u32,
}

@group(1) @binding(0) var<storage, read> x: array<vec4f>;
@group(1) @binding(1) var<storage, read_write> quantized: array<vec2u>;
@group(1) @binding(2) var<uniform> params: Params;

const LANES = 64;
const LARGEST = 127.0;
const SMALLEST_NORMAL = 0x1p-126;
const ONES = 0x01010101u;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  if (halted()) {
    return;
  }
  let chunk = id.x + id.y * groups.x * u32(LANES);
  if (chunk >= params.chunks) {
    return;
  }
  var largest = vec4f(0.0);
  for (var i = 0u; i < 8u; i++) {
    largest = max(largest, abs(x[chunk * 8u + i]));
  }
  let s = max(max(largest.x, largest.y), max(largest.z, largest.w)) / LARGEST;
  // Subnormal scales may be flushed to zero, and have no reciprocal.
  let inverse = select(0.0, 1.0 / s, s >= SMALLEST_NORMAL);
  var q: array<u32, 8>;
  var sums = vec2i(0);
  for (var i = 0u; i < 8u; i++) {
    q[i] = pack4xI8(vec4i(round(x[chunk * 8u + i] * inverse)));
    sums[i / 4u] += dot4I8Packed(q[i], ONES);
  }
  let beside = bitcast<vec3u>(vec3f(s, s * vec2f(sums)));
  for (var i = 0u; i < 8u; i++) {
    quantized[chunk * 8u + i] = vec2u(q[i], select(0u, beside[min(i, 2u)], i < 3u));
  }
}

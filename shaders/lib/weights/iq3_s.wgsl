// IQ3_S: w = d·(2·sc + 1)·(±entry). quants: a byte, the low bits of the codebook entry, for each four weights; high: one-bit
// plane, the signs; scales: four words per 256: eight bytes of ninth bits (bit k of byte c: entry k of the c-th 32 weights),
// eight 4-bit sc, f16 d.
import package::lib::iq3_entries::signed_entries;

@group(1) @binding(0) var<storage, read> quants: array<vec2u>;
@group(1) @binding(1) var<storage, read> high: array<u32>;
@group(1) @binding(2) var<storage, read> scales: array<vec4u>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let q = quants[chunk];
  let block = scales[chunk >> 3u];
  let c = chunk & 7u;
  let ninth = vec4u(select(block.x, block.y, c >= 4u) >> (8u * (c & 3u)));
  let first = unpack4xU8(q.x) | (((ninth >> vec4u(0u, 1u, 2u, 3u)) & vec4u(1u)) << vec4u(8u));
  let last = unpack4xU8(q.y) | (((ninth >> vec4u(4u, 5u, 6u, 7u)) & vec4u(1u)) << vec4u(8u));
  let sc = f32((block.z >> (4u * c)) & 15u);
  return signed_entries(first, last, high[chunk], unpack2x16float(block.w).x * (2.0 * sc + 1.0));
}

// Q8_0: w = d·q. quants: 2 vec4u of signed bytes per 32; scales: two f16 d a word.
@group(1) @binding(0) var<storage, read> quants: array<vec4u>;
@group(1) @binding(2) var<storage, read> scales: array<u32>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  let d = unpack2x16float(scales[chunk >> 1u])[chunk & 1u];
  let a = quants[2u * chunk];
  let b = quants[2u * chunk + 1u];
  return array<vec4f, 8>(
    d * vec4f(unpack4xI8(a.x)),
    d * vec4f(unpack4xI8(a.y)),
    d * vec4f(unpack4xI8(a.z)),
    d * vec4f(unpack4xI8(a.w)),
    d * vec4f(unpack4xI8(b.x)),
    d * vec4f(unpack4xI8(b.y)),
    d * vec4f(unpack4xI8(b.z)),
    d * vec4f(unpack4xI8(b.w)),
  );
}

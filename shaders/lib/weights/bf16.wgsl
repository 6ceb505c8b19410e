// BF16: quants holds 4 vec4u per 32 weights, two weights a word; a weight is the upper half of an f32.
@group(1) @binding(0) var<storage, read> quants: array<vec4u>;

fn halves(a: u32, b: u32) -> vec4f {
  return bitcast<vec4f>(vec4u(a << 16u, a & 0xffff0000u, b << 16u, b & 0xffff0000u));
}

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  var w: array<vec4f, 8>;
  for (var i = 0u; i < 4u; i++) {
    let q = quants[chunk * 4u + i];
    w[2u * i] = halves(q.x, q.y);
    w[2u * i + 1u] = halves(q.z, q.w);
  }
  return w;
}

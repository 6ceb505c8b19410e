// F16: quants holds 4 vec4u per 32 weights, two weights a word.
@group(1) @binding(0) var<storage, read> quants: array<vec4u>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  var w: array<vec4f, 8>;
  for (var i = 0u; i < 4u; i++) {
    let q = quants[chunk * 4u + i];
    w[2u * i] = vec4f(unpack2x16float(q.x), unpack2x16float(q.y));
    w[2u * i + 1u] = vec4f(unpack2x16float(q.z), unpack2x16float(q.w));
  }
  return w;
}

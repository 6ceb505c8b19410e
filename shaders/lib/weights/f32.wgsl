// F32: quants holds 8 vec4u per 32 weights.
@group(1) @binding(0) var<storage, read> quants: array<vec4u>;

fn load_weights(chunk: u32) -> array<vec4f, 8> {
  var w: array<vec4f, 8>;
  for (var i = 0u; i < 8u; i++) {
    w[i] = bitcast<vec4f>(quants[chunk * 8u + i]);
  }
  return w;
}

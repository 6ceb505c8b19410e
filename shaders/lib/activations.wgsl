// WGSL lets an implementation assume that no infinity arises, and exp overflows f32 beyond 88.7: so exponents stop here,
// where 1 + exp(x) is exp(x) and its reciprocal is as good as 0.
const MAX_EXPONENT = 80.0;

fn sigmoid(x: f32) -> f32 {
  return 1.0 / (1.0 + exp(min(-x, MAX_EXPONENT)));
}

fn sigmoid4(x: vec4f) -> vec4f {
  return 1.0 / (1.0 + exp(min(-x, vec4f(MAX_EXPONENT))));
}

fn silu(x: vec4f) -> vec4f {
  return x * sigmoid4(x);
}

// log(1 + exp(x)) = max(x, 0) + log(1 + u), u = exp(-|x|).
// WGSL's log may be off by 2^-21 near 1, and 1 + u loses a small u; log(1 + u) = 2·artanh(u / (2 + u)) has neither fault:
// the argument is at most 1/3, where seven terms of the series leave an error below 2^-26.
fn softplus(x: f32) -> f32 {
  let u = exp(-abs(x));
  let z = u / (2.0 + u);
  let z2 = z * z;
  let series = 1.0 + z2 * (1.0 / 3.0 + z2 * (0.2 + z2 * (1.0 / 7.0 + z2 * (1.0 / 9.0 + z2 * (1.0 / 11.0 + z2 / 13.0)))));
  return max(x, 0.0) + 2.0 * z * series;
}

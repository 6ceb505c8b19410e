// What the two forms of the gated delta rule share, delta_net.wgsl and delta_chunks.wgsl: what they read and write, and moving
// the convolution's states on.
import package::lib::step::step;

struct Params {
  tokens: u32,
  key_heads: u32,
  value_heads: u32,
  // Floats of a row of projections, in which the convolution's input comes first.
  stride: u32,
  // At least 1, at most `tokens`.
  kept: u32,
}

@group(1) @binding(0) var<storage, read> qkv: array<vec4f>;
@group(1) @binding(1) var<storage, read> gates: array<vec2f>;
@group(1) @binding(2) var<storage, read_write> state: array<vec4f>;
@group(1) @binding(3) var<storage, read_write> o: array<f32>;
@group(1) @binding(4) var<storage, read> conv_input: array<vec4f>;
@group(1) @binding(5) var<storage, read_write> conv_state: array<vec4f>;
@group(1) @binding(6) var<uniform> params: Params;

// The convolution's last three inputs at each place that a state is kept for. delta_conv has read the old ones in an earlier
// dispatch, so they may be replaced. @param row channels in vec4s
fn move_conv_states(invocation: u32, invocations: u32, row: u32) {
  for (var c = invocation; c < row; c += invocations) {
    var old: array<vec4f, 3>;
    for (var j = 0u; j < 3u; j++) {
      old[j] = conv_state[(3u * step.state + j) * row + c];
    }
    for (var back = 0u; back < params.kept; back++) {
      for (var j = 0u; j < 3u; j++) {
        let input = params.tokens - back + j;
        var value = old[min(input, 2u)];
        if (input >= 3u) {
          value = conv_input[(input - 3u) * (params.stride / 4u) + c];
        }
        conv_state[(3u * (step.into + back) + j) * row + c] = value;
      }
    }
  }
}

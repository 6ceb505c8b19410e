// Routing of one token: the top k of E experts, their weights, and where they live.
//   p = softmax over all E; chosen = the k largest (ties: the lower index); weights = p[chosen] / Σ p[chosen] · scale
//   Since the softmax's denominator cancels, weights are exp(logit − max) over the chosen ones' sum.
//   The shared expert's weight is the sigmoid of its gate.
//   logits [T, E + 1] f32, the last the shared expert's gate · slot_of [E] u32: the expert's slot, or ABSENT
//   slots [T, k] u32 · weights [T, k + 1] f32, the last of the shared expert
//   experts: [T, k] u32 from experts_at on, for the CPU, which keeps counters and fetches what is absent
//   An absent expert raises the step's halt: 1 + this layer. Other tokens of this layer still route, later layers do not.
//   workgroup: one t; lanes stride over experts, k rounds of a maximum; grid: (T)
//   source: qwen35.md §2.3
import package::lib::activations::sigmoid;
import package::lib::halting_step::halting_step;
import constants::{ABSENT, EXPERTS, LANES};

struct Params {
  top_k: u32,
  scale: f32,
  layer: u32,
  experts_at: u32,
}

@group(1) @binding(0) var<storage, read> logits: array<f32>;
@group(1) @binding(1) var<storage, read> slot_of: array<u32>;
@group(1) @binding(2) var<storage, read_write> slots: array<u32>;
@group(1) @binding(3) var<storage, read_write> experts: array<u32>;
@group(1) @binding(4) var<storage, read_write> weights: array<f32>;
@group(1) @binding(5) var<uniform> params: Params;

const TAKEN = -3.4e38;

var<workgroup> halt: u32;
var<workgroup> left: array<f32, EXPERTS>;
var<workgroup> best_value: array<f32, LANES>;
var<workgroup> best_index: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  // What may be written is not uniform by itself: one lane reads it for all.
  if (lane == 0u) {
    halt = atomicLoad(&halting_step.halt);
  }
  let halted_by = workgroupUniformLoad(&halt);
  if (halted_by != 0u && halted_by != params.layer + 1u) {
    return;
  }
  let t = group.x;
  for (var e = lane; e < u32(EXPERTS); e += u32(LANES)) {
    left[e] = logits[t * u32(EXPERTS + 1) + e];
  }
  let weights_at = t * (params.top_k + 1u);
  var largest = 0.0;
  var sum = 0.0;
  for (var round = 0u; round < params.top_k; round++) {
    var value = TAKEN;
    var index = u32(EXPERTS);
    for (var e = lane; e < u32(EXPERTS); e += u32(LANES)) {
      if (left[e] > value) {
        value = left[e];
        index = e;
      }
    }
    best_value[lane] = value;
    best_index[lane] = index;
    for (var half = u32(LANES) / 2u; half > 0u; half /= 2u) {
      workgroupBarrier();
      if (lane < half) {
        let other = best_value[lane + half];
        let other_index = best_index[lane + half];
        if (other > best_value[lane] || (other == best_value[lane] && other_index < best_index[lane])) {
          best_value[lane] = other;
          best_index[lane] = other_index;
        }
      }
    }
    workgroupBarrier();
    // NaN logits choose nothing: then any expert will do, the result is NaN anyway.
    let expert = min(best_index[0], u32(EXPERTS) - 1u);
    largest = select(largest, best_value[0], round == 0u);
    let weight = exp(best_value[0] - largest);
    sum += weight;
    if (lane == 0u) {
      let at = t * params.top_k + round;
      let slot = slot_of[expert];
      experts[params.experts_at + at] = expert;
      slots[at] = slot;
      weights[weights_at + round] = weight;
      left[expert] = TAKEN;
      if (slot == u32(ABSENT)) {
        atomicStore(&halting_step.halt, params.layer + 1u);
      }
    }
    workgroupBarrier();
  }
  if (lane == 0u) {
    for (var round = 0u; round < params.top_k; round++) {
      weights[weights_at + round] *= params.scale / sum;
    }
    weights[weights_at + params.top_k] = sigmoid(logits[t * u32(EXPERTS + 1) + u32(EXPERTS)]);
  }
}

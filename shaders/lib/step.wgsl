// What changes from step to step, in one small buffer that every kernel has as group 0. Read-only, so that control flow
// that depends on it counts as uniform.
struct Step {
  // Index in the context (and in the KV cache) of the first token of this pass.
  position: u32,
  // Tokens in this pass.
  tokens: u32,
  unused_0: u32,
  unused_1: u32,
}

@group(0) @binding(0) var<storage, read> step: Step;

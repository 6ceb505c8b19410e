// What changes from step to step, in one small buffer that every kernel has as group 0.
struct Step {
  // Index in the context (and in the KV cache) of the first token of this pass.
  position: u32,
  // Tokens in this pass.
  tokens: u32,
  // Raised by a kernel that cannot go on (an expert is not resident); later kernels of the step then do nothing.
  halt: u32,
  unused: u32,
}

@group(0) @binding(0) var<storage, read_write> step: Step;

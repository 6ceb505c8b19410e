// What changes from step to step, in one small buffer that every kernel has as group 0. Read-only, so that control flow
// that depends on it counts as uniform; the one kernel that raises the halt binds it as lib/halting_step.wgsl does.
struct Step {
  // Index in the context (and in the KV cache) of the first token of this pass.
  position: u32,
  // Tokens in this pass.
  tokens: u32,
  // 0, or 1 + the layer that wants an expert which is in no slot: what follows is left undone until it is there.
  halt: u32,
  // Of the DeltaNet layers' states, the one that this pass goes on from: 0 is the state after all that was read so far, k the
  // state k tokens before, where the last pass kept it.
  state: u32,
}

@group(0) @binding(0) var<storage, read> step: Step;

// Every kernel of a pass asks first, so that a halted pass leaves all that a later layer keeps as it was.
fn halted() -> bool {
  return step.halt != 0u;
}

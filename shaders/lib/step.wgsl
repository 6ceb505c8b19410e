// What changes from step to step, in one small buffer that every kernel has as group 0. Read-only, so that control flow
// that depends on it counts as uniform; the one kernel that raises the halt binds it as lib/halting_step.wgsl does.
struct Step {
  // Index in the context (and in the KV cache) of the first token of this pass.
  position: u32,
  // Where the DeltaNet layers' states behind this pass go: place `into` gets the one after its last token, and where more are
  // kept, place `into + k` the one k tokens before.
  into: u32,
  // 0, or 1 + the layer that wants an expert which is in no slot: what follows is left undone until it is there.
  halt: u32,
  // The place of the DeltaNet layers' state that this pass goes on from.
  state: u32,
}

@group(0) @binding(0) var<storage, read> step: Step;

// Every kernel of a pass asks first, so that a halted pass leaves all that a later layer keeps as it was.
fn halted() -> bool {
  return step.halt != 0u;
}

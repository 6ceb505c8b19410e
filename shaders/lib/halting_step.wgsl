// The step buffer of lib/step.wgsl, for the kernel that may raise the halt.
struct HaltingStep {
  position: u32,
  into: u32,
  halt: atomic<u32>,
  state: u32,
}

@group(0) @binding(0) var<storage, read_write> halting_step: HaltingStep;

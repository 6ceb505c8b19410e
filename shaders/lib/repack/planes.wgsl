// The planes of src/weights/quant-layout.ts as a repacking module writes them: in words.
@group(1) @binding(0) var<storage, read_write> quants: array<u32>;
@group(1) @binding(1) var<storage, read_write> high: array<u32>;
@group(1) @binding(2) var<storage, read_write> scales: array<u32>;

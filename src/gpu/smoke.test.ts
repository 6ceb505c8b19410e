import { afterAll, beforeAll, expect, test } from 'vitest';
import { testGpu } from '../../tools/test-gpu.ts';

let device: GPUDevice;

beforeAll(async () => {
  const adapter = await (await testGpu()).requestAdapter();
  if (adapter === null) throw new Error('No WebGPU adapter.');
  device = await adapter.requestDevice();
});

afterAll(() => device.destroy());

test('a compute shader runs on this adapter and its result can be read', async () => {
  const count = 1000; // not a multiple of the workgroup: the tail must be guarded
  const module = device.createShaderModule({
    code: `
      @group(0) @binding(0) var<storage, read_write> y: array<f32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < arrayLength(&y)) { y[id.x] = f32(id.x) * 2 + 1; }
      }`,
  });
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
  const y = device.createBuffer({ size: count * 4, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const readback = device.createBuffer({ size: count * 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });

  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: y } }],
    }),
  );
  pass.dispatchWorkgroups(Math.ceil(count / 64));
  pass.end();
  encoder.copyBufferToBuffer(y, 0, readback, 0, count * 4);
  device.queue.submit([encoder.finish()]);

  await readback.mapAsync(GPUMapMode.READ);
  expect(Array.from(new Float32Array(readback.getMappedRange()))).toEqual(
    Array.from({ length: count }, (_, i) => i * 2 + 1),
  );
  readback.destroy();
  y.destroy();
});

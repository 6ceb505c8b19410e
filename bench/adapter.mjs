// @ts-check
/**
 * What an adapter can do: the ceilings that the engine's speed is held against.
 *
 *     node bench/adapter.mjs
 *
 * Several shapes of each kernel are tried, since software adapters and GPUs like opposite ones; the best is the ceiling.
 */
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { openDawn } from './dawn.mjs';

/** Large enough that no cache holds it, small enough for the binding limit that every adapter has. */
const BYTES = 64 * 2 ** 20;
const COLUMNS = 2048;
const RUNS = 8;
const MULTIPLY_ADDS = 4096;

/**
 * @typedef {object} Ceilings
 * @property {string} adapter
 * @property {number} readGBs Summing a buffer.
 * @property {number} copyGBs Copying a buffer, bytes read and written.
 * @property {number} matvecGBs An f32 matrix times a vector, bytes of the matrix.
 * @property {number} f32GFlops Chains of f32 multiply-adds in registers.
 * @property {number} [f16GFlops] The same in f16, where the adapter has it.
 */

/**
 * @param {GPU} gpu
 * @returns {Promise<Ceilings>}
 */
export async function measureAdapter(gpu) {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('Dawn offers no adapter.');
  const features = /** @type {GPUFeatureName[]} */ (['shader-f16', 'subgroups']).filter((f) => adapter.features.has(f));
  const device = await adapter.requestDevice({ requiredFeatures: features });
  const subgroup = features.includes('subgroups') ? (adapter.info.subgroupMinSize ?? 0) : 0;
  const widths = [...new Set([8, 32, 64, 256, ...(subgroup > 0 ? [subgroup] : [])])];
  try {
    const f16 = features.includes('shader-f16');
    return {
      adapter: adapter.info.description || adapter.info.device,
      readGBs: await best(widths, (lanes) => time(device, read(lanes), BYTES)),
      copyGBs: await best(widths, (lanes) => time(device, copy(lanes), 2 * BYTES)),
      matvecGBs: await best(matvecShapes(subgroup), (shape) => time(device, matvec(shape), BYTES)),
      f32GFlops: await best([1, 2, 4], (chains) => time(device, multiplyAdds('f32', chains), flops(chains))),
      ...(f16 && {
        f16GFlops: await best([1, 2, 4], (chains) => time(device, multiplyAdds('f16', chains), flops(chains))),
      }),
    };
  } finally {
    device.destroy();
  }
}

/**
 * @template Shape
 * @param {readonly Shape[]} shapes
 * @param {(shape: Shape) => Promise<number>} measure
 */
async function best(shapes, measure) {
  let most = 0;
  for (const shape of shapes) most = Math.max(most, await measure(shape));
  return most;
}

/** @typedef {{ code: string, workgroups: number }} Probe Kernel of `x` (read) and `y` (written), both of BYTES. */

/**
 * Thousand millions of `work` a second, in the fastest run: other work on the machine only ever slows a run down.
 * @param {GPUDevice} device
 * @param {Probe} probe
 * @param {number} work of one dispatch
 */
async function time(device, { code, workgroups }, work) {
  const module = device.createShaderModule({ code });
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
  const buffers = [0, 1].map(() => device.createBuffer({ size: BYTES, usage: GPUBufferUsage.STORAGE }));
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  let fastest = Number.POSITIVE_INFINITY;
  for (let run = 0; run <= RUNS; run++) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(workgroups);
    pass.end();
    const commands = encoder.finish();
    const start = performance.now();
    device.queue.submit([commands]);
    await device.queue.onSubmittedWorkDone();
    if (run > 0) fastest = Math.min(fastest, performance.now() - start); // the first compiles and touches the memory
  }
  for (const buffer of buffers) buffer.destroy();
  return work / fastest / 1e6;
}

const VECTORS = `
  @group(0) @binding(0) var<storage, read> x: array<vec4f>;
  @group(0) @binding(1) var<storage, read_write> y: array<vec4f>;`;
const each = (/** @type {number} */ count, /** @type {(i: number) => string} */ line) =>
  Array.from({ length: count }, (_, i) => line(i)).join('\n');
const STREAM_WORKGROUPS = 1024;
const SUMS = 8;
const vectorsPerLane = (/** @type {number} */ lanes) => BYTES / 16 / STREAM_WORKGROUPS / lanes;

/**
 * Each workgroup sums a run of the buffer, its lanes side by side, in sums that do not wait for one another.
 * @param {number} lanes
 * @returns {Probe}
 */
const read = (lanes) => ({
  workgroups: STREAM_WORKGROUPS,
  code: `${VECTORS}
  @compute @workgroup_size(${lanes})
  fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    ${each(SUMS, (i) => `var sum${i} = vec4f();`)}
    var at = group.x * ${lanes * vectorsPerLane(lanes)} + lane;
    for (var i = 0u; i < ${vectorsPerLane(lanes) / SUMS}; i++) {
      ${each(SUMS, (i) => `sum${i} += x[at + ${i * lanes}];`)}
      at += ${SUMS * lanes};
    }
    y[group.x * ${lanes} + lane] = ${Array.from({ length: SUMS }, (_, i) => `sum${i}`).join(' + ')};
  }`,
});

/** @param {number} lanes @returns {Probe} */
const copy = (lanes) => ({
  workgroups: STREAM_WORKGROUPS,
  code: `${VECTORS}
  @compute @workgroup_size(${lanes})
  fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    var at = group.x * ${lanes * vectorsPerLane(lanes)} + lane;
    for (var i = 0u; i < ${vectorsPerLane(lanes)}; i++) {
      y[at] = x[at];
      at += ${lanes};
    }
  }`,
});

/** @typedef {{ lanes: number, rows: number, subgroups: boolean }} MatvecShape */

/** @param {number} subgroup its width, 0 without @returns {MatvecShape[]} */
function matvecShapes(subgroup) {
  const shapes = [
    { lanes: 1, rows: 8, subgroups: false },
    { lanes: 32, rows: 4, subgroups: false },
  ];
  if (subgroup === 0) return shapes;
  return [...shapes, ...[4, 8, 16].map((rows) => ({ lanes: subgroup, rows, subgroups: true }))];
}

/**
 * A plain f32 matrix–vector product; a workgroup makes some rows, its lanes stride over the columns. The vector is the
 * start of the same buffer, so that nothing else is read.
 * @param {MatvecShape} shape
 * @returns {Probe}
 */
const matvec = ({ lanes, rows, subgroups }) => ({
  workgroups: BYTES / 4 / COLUMNS / rows,
  code: `${subgroups ? 'enable subgroups;' : ''}${VECTORS}
  const COLUMNS = ${COLUMNS / 4}u; // of four floats
  ${subgroups ? '' : `var<workgroup> partial: array<f32, ${lanes}>;`}
  @compute @workgroup_size(${lanes})
  fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    var sums: array<f32, ${rows}>;
    for (var c = lane; c < COLUMNS; c += ${lanes}) {
      let v = x[c];
      for (var r = 0u; r < ${rows}; r++) { sums[r] += dot(x[(group.x * ${rows} + r) * COLUMNS + c], v); }
    }
    for (var r = 0u; r < ${rows}; r++) {
      ${subgroups ? 'let sum = subgroupAdd(sums[r]);' : sumOverLanes(lanes)}
      if (lane == 0) { y[group.x * ${rows} + r].x = sum; }
    }
  }`,
});

const sumOverLanes = (/** @type {number} */ lanes) => `
      workgroupBarrier();
      partial[lane] = sums[r];
      workgroupBarrier();
      var sum = 0f;
      for (var i = 0u; i < ${lanes}; i++) { sum += partial[i]; }`;

const ARITHMETIC_LANES = 64;
const ARITHMETIC_WORKGROUPS = 256;

/** @param {number} chains */
const flops = (chains) => 2 * 4 * chains * MULTIPLY_ADDS * ARITHMETIC_LANES * ARITHMETIC_WORKGROUPS;

/**
 * Chains of multiply-adds on vectors of four, side by side to hide their latency.
 * @param {'f32' | 'f16'} type
 * @param {number} chains
 * @returns {Probe}
 */
const multiplyAdds = (type, chains) => ({
  workgroups: ARITHMETIC_WORKGROUPS,
  code: `${type === 'f16' ? 'enable f16;' : ''}${VECTORS}
    @compute @workgroup_size(${ARITHMETIC_LANES})
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let factor = vec4<${type}>(x[id.x]);
      ${each(chains, (i) => `var a${i} = factor + ${i};`)}
      for (var i = 0u; i < ${MULTIPLY_ADDS}; i++) {
        ${each(chains, (i) => `a${i} = fma(a${i}, factor, factor);`)}
      }
      y[id.x] = vec4f(${Array.from({ length: chains }, (_, i) => `a${i}`).join(' + ')});
    }`,
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log({ ...(await measureAdapter(await openDawn())), load: loadavg()[0] });
  process.exit(0);
}

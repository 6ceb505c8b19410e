import { type Bindable, type Gpu, type GpuBuffer, type Kernel, range } from './device.ts';
import { BufferUsage } from './flags.ts';
import type { DispatchInfo, Profiler } from './profiler.ts';
import type { ShaderVariant } from './shaders.ts';

/** A grid of workgroups. */
export type Grid = readonly [x: number, y?: number, z?: number];

export interface DispatchCost {
  /** Name of the matrix that the dispatch multiplies with. */
  weights?: string;
  /** Bytes of weights the dispatch reads. */
  weightBytes?: number;
}

interface Recorded {
  spec: ShaderVariant;
  bindings: Readonly<Record<string, Bindable>>;
  params: Readonly<Record<string, number>>;
  grid: Grid;
  cost: DispatchCost;
}

interface Dispatch {
  pipeline: GPUComputePipeline;
  stepGroup: GPUBindGroup;
  bindGroup: GPUBindGroup;
  info: DispatchInfo;
}

/** Bytes of the parameters of a program with so many dispatches. */
export function programBytes(dispatches: number): number {
  return Math.max(1, dispatches) * UNIFORM_ALIGNMENT;
}

/** Uniform bindings start at multiples of this: the largest `minUniformBufferOffsetAlignment` a device may have. */
const UNIFORM_ALIGNMENT = 256;

/**
 * Collects dispatches in order; `build` compiles what is missing, writes all parameters into one buffer and makes the
 * bind groups, so that running the program again (each decoded token) costs only encoding.
 */
export class Recorder {
  readonly #dispatches: Recorded[] = [];
  readonly #marks = new Map<string, number>();

  /**
   * @param often the program will run many times, as for every token of an answer: then kernels are worth compiling that a
   *   program for one prompt is not
   */
  constructor(
    readonly gpu: Gpu,
    readonly often = false,
  ) {}

  get dispatchCount(): number {
    return this.#dispatches.length;
  }

  /** Bytes of weights that the dispatches read. */
  get weightBytes(): number {
    return this.#dispatches.reduce((sum, { cost }) => sum + (cost.weightBytes ?? 0), 0);
  }

  /** Names this place, between the dispatches so far and those to come: a run of the program may begin or end here. */
  mark(name: string): void {
    this.#marks.set(name, this.#dispatches.length);
  }

  /** Dispatches so far behind one mark and before another. */
  dispatchesBetween(from: string, to: string): number {
    return placeOf(this.#marks, to) - placeOf(this.#marks, from);
  }

  /** @param bindings by the shader's variable names, without `params` @param params by the fields of its `Params` */
  dispatch(
    spec: ShaderVariant,
    bindings: Readonly<Record<string, Bindable>>,
    params: Readonly<Record<string, number>>,
    grid: Grid,
    cost: DispatchCost = {},
  ): void {
    if (grid.some((n) => n === 0)) return;
    this.#dispatches.push({ spec, bindings, params, grid, cost });
  }

  /** @param step bound as group 0 of every kernel */
  async build(label: string, step: GpuBuffer): Promise<Program> {
    const { gpu } = this;
    const kernels = await Promise.all(this.#dispatches.map(({ spec }) => gpu.kernel(spec)));
    const uniforms = gpu.createBuffer(
      `${label} parameters`,
      programBytes(kernels.length),
      BufferUsage.UNIFORM | BufferUsage.COPY_DST,
    );
    const stepGroup = (layout: GPUBindGroupLayout) =>
      gpu.device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: step.buffer } }] });
    const stepGroups = { read: stepGroup(gpu.stepLayouts.read), write: stepGroup(gpu.stepLayouts.write) };
    const values = new DataView(new ArrayBuffer(uniforms.size));
    const dispatches = this.#dispatches.map((recorded, i) => {
      const offset = i * UNIFORM_ALIGNMENT;
      writeParams(values, offset, kernels[i], recorded.params);
      const { writesStep } = kernels[i].shader;
      const bound = this.#bind(recorded, kernels[i], { uniforms, offset });
      return { ...bound, stepGroup: writesStep ? stepGroups.write : stepGroups.read };
    });
    gpu.write(uniforms, 0, new Uint8Array(values.buffer));
    return new Program(label, dispatches, this.#marks, uniforms, this.weightBytes);
  }

  #bind(
    { spec, bindings, grid, cost }: Recorded,
    kernel: Kernel,
    params: { uniforms: GpuBuffer; offset: number },
  ): Omit<Dispatch, 'stepGroup'> {
    const { shader, layout, pipeline } = kernel;
    const entries = [...shader.bindings].map(([name, { index, type }]): GPUBindGroupEntry => {
      if (type === 'uniform') {
        const size = Math.ceil((shader.params.length * 4) / 16) * 16;
        return { binding: index, resource: { buffer: params.uniforms.buffer, offset: params.offset, size } };
      }
      const bound = bindings[name];
      if (!bound) throw new Error(`${kernel.name}: nothing bound to ${name}`);
      const { buffer, offset, size } = range(bound);
      return { binding: index, resource: { buffer: buffer.buffer, offset, size } };
    });
    for (const name in bindings) {
      if (!shader.bindings.has(name)) throw new Error(`${kernel.name} has no binding ${name}`);
    }
    const limit = this.gpu.limits.maxComputeWorkgroupsPerDimension;
    const [x, y = 1, z = 1] = grid;
    if (Math.max(x, y, z) > limit) throw new Error(`${kernel.name}: grid ${grid} exceeds ${limit} workgroups`);
    const bindGroup = this.gpu.device.createBindGroup({ label: kernel.name, layout, entries });
    const { weights, weightBytes = 0 } = cost;
    const info = {
      kernel: kernel.name,
      variant: describeVariant(spec),
      weights,
      weightBytes,
      grid: [x, y, z] as const,
    };
    return { pipeline, bindGroup, info };
  }
}

function placeOf(marks: ReadonlyMap<string, number>, mark: string): number {
  const place = marks.get(mark);
  if (place === undefined) throw new Error(`there is no mark ${mark}`);
  return place;
}

/** The last part of each module's name, and the conditions that hold. */
function describeVariant({ modules = {}, conditions = {} }: ShaderVariant): string {
  const names = Object.values(modules).map((path) => path.slice(path.lastIndexOf('/') + 1));
  return [...names, ...Object.keys(conditions).filter((name) => conditions[name])].join(' ');
}

function writeParams(view: DataView, offset: number, kernel: Kernel, params: Readonly<Record<string, number>>): void {
  const { name, shader } = kernel;
  if (shader.params.length * 4 > UNIFORM_ALIGNMENT) throw new Error(`${name}: too many parameters`);
  for (const key in params) {
    if (!shader.params.some((p) => p.name === key)) throw new Error(`${name} has no parameter ${key}`);
  }
  shader.params.forEach(({ name: field, type }, i) => {
    const value = params[field];
    if (value === undefined) throw new Error(`${name}: parameter ${field} is missing`);
    if (type === 'f32') view.setFloat32(offset + i * 4, value, true);
    else view.setUint32(offset + i * 4, value, true);
  });
}

/** A fixed list of dispatches, run as often as wanted; what varies between runs is read from buffers. */
export class Program {
  constructor(
    readonly label: string,
    private readonly dispatches: readonly Dispatch[],
    private readonly marks: ReadonlyMap<string, number>,
    private readonly uniforms: GpuBuffer,
    /** Bytes of weights that one run reads. */
    readonly weightBytes: number,
  ) {}

  get dispatchCount(): number {
    return this.dispatches.length;
  }

  /**
   * One pass; with a profiler, a pass for each dispatch.
   * @param part marks where it begins and ends; default: the whole
   */
  encode(encoder: GPUCommandEncoder, profiler?: Profiler, part: { from?: string; to?: string } = {}): void {
    const from = part.from === undefined ? 0 : placeOf(this.marks, part.from);
    const to = part.to === undefined ? this.dispatches.length : placeOf(this.marks, part.to);
    const dispatches = from === 0 && to === this.dispatches.length ? this.dispatches : this.dispatches.slice(from, to);
    if (profiler) {
      for (const dispatch of dispatches) {
        this.#encodePass(encoder, [dispatch], { label: this.label, timestampWrites: profiler.next(dispatch.info) });
      }
    } else {
      this.#encodePass(encoder, dispatches, { label: this.label });
    }
  }

  #encodePass(encoder: GPUCommandEncoder, dispatches: readonly Dispatch[], descriptor: GPUComputePassDescriptor): void {
    const pass = encoder.beginComputePass(descriptor);
    let bound: GPUBindGroup | undefined;
    for (const { pipeline, stepGroup, bindGroup, info } of dispatches) {
      pass.setPipeline(pipeline);
      if (stepGroup !== bound) pass.setBindGroup(0, stepGroup);
      bound = stepGroup;
      pass.setBindGroup(1, bindGroup);
      pass.dispatchWorkgroups(...info.grid);
    }
    pass.end();
  }

  dispose(): void {
    this.uniforms.dispose();
  }
}

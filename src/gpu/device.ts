import { QwenError } from '../errors.ts';
import { BufferUsage, MAP_MODE_READ, SHADER_STAGE_COMPUTE } from './flags.ts';
import { type LinkedShader, linkShader, type ShaderVariant } from './shaders.ts';

/** What kernels may choose their variant by. */
export interface Capabilities {
  /** `shader-f16`. */
  readonly f16: boolean;
  /** Subgroup operations, at whatever width the adapter has. */
  readonly subgroups: boolean;
  readonly timestamps: boolean;
  /** The smallest subgroup the adapter may run a workgroup with; 1 without subgroups. */
  readonly subgroupMinSize: number;
  /** The largest; up to 8 are software adapters. 1 without subgroups. */
  readonly subgroupMaxSize: number;
  /** What the adapter's matrix units multiply at once, with sums in f32; empty without them. */
  readonly subgroupMatrices: readonly SubgroupMatrix[];
  /** A processor stands in for a GPU: the browser says so, or its subgroups are as narrow, whether they are used or not. */
  readonly software: boolean;
}

/** A product of matrices that a subgroup computes together: `[m, k] · [k, n]`. */
export interface SubgroupMatrix {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Factors in f16; else in f32. */
  readonly f16: boolean;
}

/** The capabilities that a device feature decides. */
type Feature = 'f16' | 'subgroups' | 'timestamps' | 'subgroupMatrices';

/** Chromium's, and behind a flag there: https://github.com/gpuweb/gpuweb/blob/main/proposals/subgroup-matrix.md */
const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;
interface SubgroupMatrixInfo {
  readonly subgroupMatrixConfigs?: Iterable<{
    readonly componentType: string;
    readonly resultComponentType: string;
    readonly M: number;
    readonly N: number;
    readonly K: number;
  }>;
}

export interface OpenGpuOptions {
  /** Capabilities to do without, so that a test can run the other variant. */
  without?: readonly Feature[];
  /** Most bytes of buffers there may be at a time. */
  memoryBytes?: number;
}

/** Limits that decide how weights are split and workgroups sized. Read from the device, never assumed. */
const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
] as const;

/** Those with sums in f32: sums in f16 turn near-tied routers. */
function matricesOf({ subgroupMatrixConfigs = [] }: SubgroupMatrixInfo, f16: boolean): SubgroupMatrix[] {
  return [...subgroupMatrixConfigs]
    .filter(({ componentType, resultComponentType }) => {
      return resultComponentType === 'f32' && (componentType === 'f32' || (f16 && componentType === 'f16'));
    })
    .map(({ componentType, M, N, K }) => ({ m: M, n: N, k: K, f16: componentType === 'f16' }));
}

/** A pipeline of one shader variant, with the way to bind its variables by name. */
export interface Kernel {
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly shader: LinkedShader;
}

/** A buffer that counts against the device's memory and must be disposed by whoever made it. */
export class GpuBuffer {
  constructor(
    private readonly gpu: Gpu,
    readonly buffer: GPUBuffer,
    readonly size: number,
  ) {}

  /** A part of the buffer for one binding; `offset` must be a multiple of 256 (the greatest alignment a device may ask). */
  slice(offset: number, size: number): BufferRange {
    return { buffer: this, offset, size };
  }

  dispose(): void {
    this.gpu.release(this);
  }
}

export interface BufferRange {
  readonly buffer: GpuBuffer;
  readonly offset: number;
  readonly size: number;
}

export type Bindable = GpuBuffer | BufferRange;

/** A WebGPU device with its limits, capabilities, counted memory and compiled kernels. */
export class Gpu {
  readonly limits: GPUSupportedLimits;
  /** `vendor architecture device` as far as the browser tells. */
  readonly adapterName: string;
  /**
   * Layouts of group 0, the step buffer: read-only for all kernels but those that may raise its halt. Where all could write
   * it, no control flow that depends on it would count as uniform, and barriers behind it would be refused.
   */
  readonly stepLayouts: { readonly read: GPUBindGroupLayout; readonly write: GPUBindGroupLayout };
  readonly lost: Promise<QwenError>;
  #bytes = 0;
  #peakBytes = 0;
  readonly #live = new Set<GpuBuffer>();
  readonly #kernels = new Map<string, Promise<Kernel>>();
  /** Why the device can no longer be trusted: lost, out of memory, or an invalid call of ours. */
  #fault: QwenError | undefined;
  #disposed = false;

  private constructor(
    readonly device: GPUDevice,
    adapterName: string,
    readonly capabilities: Capabilities,
    /** Most bytes that may be in use; `Infinity` without a budget. */
    readonly memoryBytes: number,
  ) {
    this.limits = device.limits;
    this.adapterName = adapterName;
    const stepLayout = (type: GPUBufferBindingType) =>
      device.createBindGroupLayout({
        label: 'step',
        entries: [{ binding: 0, visibility: SHADER_STAGE_COMPUTE, buffer: { type } }],
      });
    this.stepLayouts = { read: stepLayout('read-only-storage'), write: stepLayout('storage') };
    device.addEventListener('uncapturederror', ({ error }) => {
      this.#fault ??= describeFault(error);
    });
    this.lost = device.lost.then((info) => {
      const lost = new QwenError(
        'device-lost',
        `The GPU device was lost (${info.reason || 'unknown'}: ${info.message || 'no details'}). Load the model again; if it happens again, choose a smaller model or context.`,
      );
      this.#fault = lost;
      return lost;
    });
  }

  /** @throws QwenError `no-webgpu` when there is no adapter. */
  static async open(gpu: GPU, { without = [], memoryBytes = Infinity }: OpenGpuOptions = {}): Promise<Gpu> {
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) {
      throw new QwenError(
        'no-webgpu',
        'This browser has WebGPU but no adapter to run it on. Enable hardware acceleration in its settings, update the graphics driver, or try a current Chrome or Edge.',
      );
    }
    const wanted: [Feature, GPUFeatureName][] = [
      ['f16', 'shader-f16'],
      ['subgroups', 'subgroups'],
      ['timestamps', 'timestamp-query'],
      ['subgroupMatrices', SUBGROUP_MATRIX],
    ];
    const has = (key: Feature, feature: GPUFeatureName) => !without.includes(key) && adapter.features.has(feature);
    const device = await adapter.requestDevice({
      requiredFeatures: wanted.filter(([key, feature]) => has(key, feature)).map(([, feature]) => feature),
      requiredLimits: Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]])),
    });
    const [f16, subgroups, timestamps, matrices] = wanted.map(([key, feature]) => has(key, feature));
    const subgroupMinSize = subgroups ? (adapter.info.subgroupMinSize ?? 4) : 1;
    const subgroupMaxSize = subgroups ? (adapter.info.subgroupMaxSize ?? 128) : 1;
    const narrow = adapter.features.has('subgroups') && (adapter.info.subgroupMaxSize ?? 128) <= 8;
    const software = narrow || adapter.info.isFallbackAdapter === true;
    const subgroupMatrices =
      matrices && subgroups && subgroupMinSize === subgroupMaxSize
        ? matricesOf(adapter.info as SubgroupMatrixInfo, f16)
        : [];
    const widths = { subgroupMinSize, subgroupMaxSize, subgroupMatrices };
    const capabilities = { f16, subgroups, timestamps, ...widths, software };
    const { vendor, architecture, device: name, description } = adapter.info;
    const adapterName = description || [vendor, architecture, name].filter(Boolean).join(' ') || 'unnamed adapter';
    return new Gpu(device, adapterName, capabilities, memoryBytes);
  }

  /**
   * A device like this one on which nothing is done but counting: whoever allocates on it learns what it would take here.
   * Recorders may record for it; nothing can be built or read.
   * @param others limits that it has instead of this one's
   */
  rehearsal(others: Partial<GPUSupportedLimits> = {}): Gpu {
    return new Gpu(countingDevice(withLimits(this.limits, others)), this.adapterName, this.capabilities, Infinity);
  }

  /** Bytes of buffers alive, and the most there ever were. */
  get bytes(): number {
    return this.#bytes;
  }
  get peakBytes(): number {
    return this.#peakBytes;
  }
  get liveBuffers(): number {
    return this.#live.size;
  }

  /** Throws if the device is gone or has failed; call before work that would otherwise fail obscurely, and after it. */
  assertAlive(): void {
    if (this.#disposed) throw new QwenError('disposed', 'This engine was disposed; load the model again.');
    if (this.#fault) throw this.#fault;
  }

  /** A zeroed buffer. Sizes are rounded up to 16 bytes, since an empty binding is not allowed and vec4 reads need whole ones. */
  createBuffer(
    label: string,
    size: number,
    usage: GPUBufferUsageFlags = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST,
  ): GpuBuffer {
    this.assertAlive();
    const bytes = Math.max(16, Math.ceil(size / 16) * 16);
    if (bytes > this.limits.maxBufferSize) {
      throw new QwenError(
        'device-limit',
        `${label} needs a buffer of ${bytes} bytes, but this device allows ${this.limits.maxBufferSize}. Choose a smaller model or context.`,
      );
    }
    if (this.#bytes + bytes > this.memoryBytes) {
      throw new QwenError(
        'out-of-memory',
        `${label} needs ${bytes} bytes of GPU memory beside the ${this.#bytes} in use, but the budget is ${this.memoryBytes}. Raise gpuMemoryBytes, or choose a smaller model or context.`,
        { param: 'gpuMemoryBytes' },
      );
    }
    const buffer = new GpuBuffer(this, this.device.createBuffer({ label, size: bytes, usage }), bytes);
    this.#live.add(buffer);
    this.#bytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#bytes);
    return buffer;
  }

  /** A buffer with these contents. */
  upload(label: string, data: ArrayBufferView<ArrayBuffer>, usage?: GPUBufferUsageFlags): GpuBuffer {
    const buffer = this.createBuffer(label, data.byteLength, usage);
    this.write(buffer, 0, data);
    return buffer;
  }

  /** Queued write; `offset` in bytes. Lengths that are no multiple of 4 are padded with zeros. */
  write(target: GpuBuffer, offset: number, data: ArrayBufferView<ArrayBuffer>): void {
    const whole = data.byteLength & ~3;
    this.device.queue.writeBuffer(target.buffer, offset, data.buffer, data.byteOffset, whole);
    if (whole < data.byteLength) {
      const tail = new Uint8Array(4);
      tail.set(new Uint8Array(data.buffer, data.byteOffset + whole, data.byteLength - whole));
      this.device.queue.writeBuffer(target.buffer, offset + whole, tail);
    }
  }

  /** Copies a range back to the CPU. */
  async read(source: Bindable): Promise<ArrayBuffer> {
    const { buffer, offset, size } = range(source);
    const staging = this.createBuffer('readback', size, BufferUsage.MAP_READ | BufferUsage.COPY_DST);
    try {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer.buffer, offset, staging.buffer, 0, Math.ceil(size / 4) * 4);
      this.device.queue.submit([encoder.finish()]);
      await this.map(staging.buffer);
      return staging.buffer.getMappedRange(0, size).slice(0);
    } finally {
      staging.dispose();
    }
  }

  /** Maps for reading, from `offset` (a multiple of 8); a lost device rejects with its typed error instead of an OperationError. */
  async map(buffer: GPUBuffer, offset = 0, size?: number): Promise<void> {
    try {
      await buffer.mapAsync(MAP_MODE_READ, offset, size);
    } catch (cause) {
      this.assertAlive();
      // A device that dies rejects its maps just before `lost` resolves.
      throw await Promise.race([this.lost, new Promise((resolve) => setTimeout(() => resolve(cause), 50))]);
    }
  }

  /** The compiled kernel of a variant; compiled once, asynchronously. */
  kernel(spec: ShaderVariant): Promise<Kernel> {
    const key = JSON.stringify([spec.name, spec.conditions, spec.modules, spec.constants]);
    let kernel = this.#kernels.get(key);
    if (!kernel) {
      kernel = this.#compile(spec);
      this.#kernels.set(key, kernel);
    }
    return kernel;
  }

  async #compile(spec: ShaderVariant): Promise<Kernel> {
    this.assertAlive();
    const shader = await linkShader(spec);
    const { device } = this;
    const layout = device.createBindGroupLayout({
      label: spec.name,
      entries: [...shader.bindings.values()].map(({ index, type }) => ({
        binding: index,
        visibility: SHADER_STAGE_COMPUTE,
        buffer: { type },
      })),
    });
    const module = device.createShaderModule({ label: spec.name, code: shader.code });
    try {
      const pipeline = await device.createComputePipelineAsync({
        label: spec.name,
        layout: device.createPipelineLayout({
          bindGroupLayouts: [shader.writesStep ? this.stepLayouts.write : this.stepLayouts.read, layout],
        }),
        compute: { module },
      });
      return { name: spec.name, pipeline, layout, shader };
    } catch (cause) {
      this.assertAlive();
      const { messages } = await module.getCompilationInfo();
      const details = messages.map((m) => `${m.lineNum}:${m.linePos} ${m.message}`).join('\n');
      throw new QwenError(
        'shader',
        `Kernel ${spec.name} does not compile on ${this.adapterName}: ${details || String(cause)}`,
        { cause },
      );
    }
  }

  /** @internal */
  release(buffer: GpuBuffer): void {
    if (!this.#live.delete(buffer)) return;
    this.#bytes -= buffer.size;
    buffer.buffer.destroy();
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const buffer of this.#live) buffer.buffer.destroy();
    this.#live.clear();
    this.#bytes = 0;
    this.device.destroy();
  }
}

/** A device's limits are getters of its class: they cannot be spread, nor read through an heir. */
function withLimits(limits: GPUSupportedLimits, others: Partial<GPUSupportedLimits>): GPUSupportedLimits {
  return new Proxy(limits, { get: (own, name: keyof GPUSupportedLimits) => others[name] ?? own[name] });
}

function countingDevice(limits: GPUSupportedLimits): GPUDevice {
  const nothing = () => {};
  const device = {
    limits,
    lost: new Promise(nothing),
    addEventListener: nothing,
    destroy: nothing,
    createBuffer: () => ({ destroy: nothing }),
    createBindGroupLayout: () => ({}),
    createCommandEncoder: () => ({ clearBuffer: nothing, copyBufferToBuffer: nothing, finish: nothing }),
    queue: { writeBuffer: nothing, submit: nothing },
  };
  return device as unknown as GPUDevice;
}

export function range(source: Bindable): BufferRange {
  return source instanceof GpuBuffer ? { buffer: source, offset: 0, size: source.size } : source;
}

/** Errors that no call reports: WebGPU delivers them later, and what was to be computed is missing. */
function describeFault(error: GPUError): QwenError {
  if (error.constructor.name === 'GPUOutOfMemoryError') {
    return new QwenError(
      'out-of-memory',
      `The GPU has no memory left (${error.message}). Choose a smaller model or context, or close other tabs that use the GPU.`,
    );
  }
  return new QwenError(
    'shader',
    `A GPU operation failed: ${error.message}. Load the model again, and report this as a bug.`,
  );
}

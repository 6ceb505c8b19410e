/** A WebGPU implementation that counts the buffers made through it, and can lose its device when a test wants it lost. */

export interface WatchedGpu {
  /** Give this to whatever is tested. */
  readonly gpu: GPU;
  /** Buffers that were made and not destroyed, of all devices. */
  readonly liveBuffers: number;
  /** Buffers made so far, of all devices. */
  readonly madeBuffers: number;
  /** Labels of the compute pipelines asked for so far, of all devices. */
  readonly pipelines: readonly string[];
  /** Bind groups and pipelines made so far, of all devices. */
  readonly madeBindings: number;
  /** Submits so far, of all devices. */
  readonly submits: number;
  /** Called after each submit of a device, with its number from 1 on. */
  onSubmit: (count: number) => void;
  /** Called before each buffer is made, with its number from 1 on. */
  onBuffer: (count: number) => void;
  /** Resolves when the devices made so far are gone, disposed or lost. */
  gone(): Promise<unknown>;
  /** Loses the device that was made last: what a driver's crash looks like from here. */
  lose(): void;
}

/** @param gpu is not changed; its adapters and devices are, as far as they came through the watched one */
export function watchGpu(gpu: GPU): WatchedGpu {
  const live = new Set<GPUBuffer>();
  let [madeBuffers, madeBindings, submits] = [0, 0, 0];
  const pipelines: string[] = [];
  const devices: GPUDevice[] = [];

  const watchDevice = (device: GPUDevice) => {
    devices.push(device);
    const createBuffer = device.createBuffer.bind(device);
    const createPipeline = device.createComputePipelineAsync.bind(device);
    device.createComputePipelineAsync = (descriptor) => {
      pipelines.push(descriptor.label ?? '');
      return createPipeline(descriptor);
    };
    const submit = device.queue.submit.bind(device.queue);
    device.createBuffer = (descriptor) => {
      watched.onBuffer(++madeBuffers);
      const buffer = createBuffer(descriptor);
      const destroy = buffer.destroy.bind(buffer);
      live.add(buffer);
      buffer.destroy = () => {
        live.delete(buffer);
        return destroy();
      };
      return buffer;
    };
    for (const maker of ['createBindGroup', 'createComputePipeline', 'createComputePipelineAsync'] as const) {
      const make = (device[maker] as (descriptor: unknown) => unknown).bind(device);
      Object.assign(device, {
        [maker]: (descriptor: unknown) => {
          madeBindings++;
          return make(descriptor);
        },
      });
    }
    const queue = device.queue;
    queue.submit = (commands) => {
      const result = submit(commands);
      watched.onSubmit(++submits);
      return result;
    };
    // `device.queue` may be a new object each time it is asked for.
    Object.defineProperty(device, 'queue', { value: queue });
    return device;
  };

  const watched = {
    gpu: {
      requestAdapter: async (options?: GPURequestAdapterOptions) => {
        const adapter = await gpu.requestAdapter(options);
        if (!adapter) return null;
        const requestDevice = adapter.requestDevice.bind(adapter);
        adapter.requestDevice = async (descriptor) => watchDevice(await requestDevice(descriptor));
        return adapter;
      },
      getPreferredCanvasFormat: () => gpu.getPreferredCanvasFormat(),
      wgslLanguageFeatures: gpu.wgslLanguageFeatures,
    } as GPU,
    get liveBuffers() {
      return live.size;
    },
    get madeBuffers() {
      return madeBuffers;
    },
    pipelines,
    get madeBindings() {
      return madeBindings;
    },
    get submits() {
      return submits;
    },
    onSubmit: (_count: number) => {},
    onBuffer: (_count: number) => {},
    gone: () => Promise.all(devices.map(({ lost }) => lost)),
    lose() {
      devices.at(-1)?.destroy();
    },
  };
  return watched;
}

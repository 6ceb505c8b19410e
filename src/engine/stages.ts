import type { ExpertResidency } from '../experts/index.ts';
import type { Gpu, GpuBuffer, Profiler, Program } from '../gpu/index.ts';
import { productsMark, routedMark } from '../model/decoder.ts';
import type { Readback } from './readback.ts';
import { HALT_AT, STEP_BYTES } from './step-buffer.ts';

/** A program of a pass, and what is copied behind it. */
export interface Stage {
  readonly program: Program;
  /** Tells the program where it is, and holds its halt, which `after` hands on to the next stage. */
  readonly step: GpuBuffer;
  /** Layers whose routers it runs. */
  readonly layers: readonly number[];
  /** Where the choices of a layer's router are. */
  readonly choices: (layer: number) => { buffer: GpuBuffer; from: number; bytes: number };
  readonly after?: (encoder: GPUCommandEncoder) => void;
}

export interface StagesOptions {
  readonly gpu: Gpu;
  readonly profiler?: Profiler;
  /** Of a model of experts, where it matters what its routers choose. */
  readonly experts?: ExpertResidency;
  /** Slots of the pairs of the layer at work. */
  readonly slots?: GpuBuffer;
  /** What else is to come back. */
  readonly back: Readback;
  readonly target: GpuBuffer;
  /** Numbers the pass. */
  readonly token: number;
  /** Called when a stage waits for a layer's experts. @returns what may be waited for a little longer */
  readonly onHalt?: (stage: number, layer: number) => Promise<void> | undefined;
  readonly signal?: AbortSignal;
}

/** Programs that run one after another in one submit, through all their halts. */
export class Stages {
  readonly #stages: readonly Stage[];
  readonly #options: StagesOptions;
  /** Of each stage: where its halt comes back, and by layer where the choices do. */
  readonly #places: readonly { step: number; layers: ReadonlyMap<number, readonly [at: number, count: number]> }[];

  constructor(stages: readonly Stage[], options: StagesOptions) {
    this.#stages = stages;
    this.#options = options;
    const { back, experts } = options;
    this.#places = (experts ? stages : []).map(({ step, layers, choices }) => ({
      step: back.add(step, 0, STEP_BYTES),
      layers: new Map(
        layers.map((layer) => {
          const { buffer, from, bytes } = choices(layer);
          return [layer, [back.add(buffer, from, bytes), bytes / 4]];
        }),
      ),
    }));
  }

  get dispatchCount(): number {
    return this.#stages.reduce((sum, { program }) => sum + program.dispatchCount, 0);
  }

  get weightBytes(): number {
    return this.#stages.reduce((sum, { program }) => sum + program.weightBytes, 0);
  }

  /** @param encoder holds what is to come before */
  submit(encoder: GPUCommandEncoder): void {
    this.#encode(encoder, 0);
    this.#options.gpu.device.queue.submit([encoder.finish()]);
  }

  /**
   * Waits for what comes back, and brings what halted stages want.
   * @throws QwenError, AbortError: then some layers have read the tokens, others have not
   */
  async finish(): Promise<ArrayBuffer> {
    const { gpu, back, target, experts, token } = this.#options;
    let bytes = await back.read(gpu, target);
    if (!experts) return bytes;
    const halts = this.#stages.map(() => new Set<number>());
    for (let stage = this.#halted(bytes); stage >= 0; stage = this.#halted(bytes)) {
      const layer = this.#haltOf(bytes, stage) - 1;
      if (halts[stage].has(layer)) throw new Error(`layer ${layer} halts again`);
      halts[stage].add(layer);
      await this.#supply(experts, stage, layer, this.#chosen(bytes, stage, layer));
      bytes = await back.read(gpu, target);
    }
    for (const [stage, { layers }] of this.#stages.entries()) {
      for (const layer of layers) {
        if (!halts[stage].has(layer)) experts.used(layer, this.#chosen(bytes, stage, layer), token);
      }
    }
    return bytes;
  }

  /** Brings what a halted layer wants, and lets the pass go on from there. */
  async #supply(experts: ExpertResidency, stage: number, layer: number, chosen: Uint32Array): Promise<void> {
    const { gpu, profiler, slots, token, signal, onHalt } = this.#options;
    const { program, step, after } = this.#stages[stage];
    const start = performance.now();
    const foreseen = onHalt?.(stage, layer);
    for await (const wave of experts.waves(layer, chosen, token, signal)) {
      if (foreseen) await experts.waitFor(foreseen, performance.now() - start);
      gpu.write(slots!, 0, wave.slots);
      gpu.write(step, HALT_AT, new Uint32Array([0]));
      const encoder = gpu.device.createCommandEncoder();
      program.encode(encoder, profiler, {
        from: routedMark(layer),
        to: wave.last ? undefined : productsMark(layer),
      });
      if (wave.last) {
        after?.(encoder);
        this.#encode(encoder, stage + 1);
      }
      gpu.device.queue.submit([encoder.finish()]);
    }
  }

  #encode(encoder: GPUCommandEncoder, first: number): void {
    const { profiler, back, target } = this.#options;
    for (const { program, after } of this.#stages.slice(first)) {
      program.encode(encoder, profiler);
      after?.(encoder);
    }
    back.copy(encoder, target);
  }

  /** The first stage that halted, since it halts all behind it; −1 if none did. */
  #halted(bytes: ArrayBuffer): number {
    return this.#stages.findIndex((_, stage) => this.#haltOf(bytes, stage) > 0);
  }

  /** 0, or 1 + the layer whose experts are absent. */
  #haltOf(bytes: ArrayBuffer, stage: number): number {
    return new Uint32Array(bytes, this.#places[stage].step + HALT_AT, 1)[0];
  }

  #chosen(bytes: ArrayBuffer, stage: number, layer: number): Uint32Array {
    const [at, count] = this.#places[stage].layers.get(layer)!;
    return new Uint32Array(bytes, at, count);
  }
}

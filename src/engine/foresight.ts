import type { ExpertResidency } from '../experts/index.ts';
import { type Gpu, type GpuBuffer, type Program, programBytes, Recorder } from '../gpu/index.ts';
import { forecast } from '../model/decoder.ts';
import type { Pass } from '../model/pass.ts';
import type { Scratch } from '../model/scratch.ts';
import type { TextModel } from '../model/text-model.ts';
import { createReadback, Readback } from './readback.ts';
import { createStep, writeStep } from './step-buffer.ts';

/** Layers behind a waiting one whose experts are foretold. */
const FORESEEN_LAYERS = 2;

/**
 * While a step waits for the experts of a layer, what the next layers will probably choose is asked of their routers, and
 * read ahead. A submit and a readback of its own, and only then: steps that find all they want pay nothing.
 */
export class Foresight {
  readonly #step: GpuBuffer;
  readonly #readback: GpuBuffer;
  readonly #chosen: GpuBuffer;
  readonly #topK: number;
  readonly #programs = new Map<number, Program>();
  #asking = false;

  /** @param base a pass of one token: its scratch holds the residual stream of the waiting one */
  constructor(
    private readonly gpu: Gpu,
    private readonly model: TextModel,
    private readonly base: Omit<Pass, 'rec' | 'tokens'>,
    scratch: Scratch,
  ) {
    const { ffn } = model.config;
    this.#topK = ffn.kind === 'moe' ? ffn.topK : 0;
    const bytes = 4 * FORESEEN_LAYERS * this.#topK;
    this.#step = createStep(gpu, 'forecast step');
    this.#chosen = scratch.bytes('foreseen experts', bytes);
    this.#readback = createReadback(gpu, 'forecast readback', bytes);
  }

  /** Allocates what asking needs. @returns bytes of the programs that may come to be */
  rehearse(): number {
    return this.model.layers.length * programBytes(this.#record(1).dispatchCount);
  }

  /**
   * @param isPassed whether the step has gone beyond a layer meanwhile: what it has passed is no longer worth reading
   * @returns resolves when what was foretold is there; nothing if there is nothing to ask
   */
  async read(experts: ExpertResidency, layer: number, isPassed: (layer: number) => boolean): Promise<void> {
    const first = layer + 1;
    const count = Math.min(FORESEEN_LAYERS, this.model.layers.length - first);
    if (count <= 0 || this.#asking) return;
    this.#asking = true;
    let foretold: number[][];
    try {
      foretold = await this.#ask(first, count);
    } catch {
      return; // a help that was not to be had: a lost device is told by the step itself
    } finally {
      this.#asking = false;
    }
    await Promise.all(foretold.map((ids, i) => (isPassed(first + i) ? undefined : experts.prefetch(first + i, ids))));
  }

  dispose(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#step.dispose();
    this.#readback.dispose();
  }

  async #ask(first: number, count: number): Promise<number[][]> {
    const program = await this.#program(first);
    const { gpu } = this;
    writeStep(gpu, this.#step, { position: 0 });
    const encoder = gpu.device.createCommandEncoder();
    program.encode(encoder);
    const back = new Readback();
    back.add(this.#chosen, 0, 4 * count * this.#topK);
    back.copy(encoder, this.#readback);
    gpu.device.queue.submit([encoder.finish()]);
    const ids = new Uint32Array(await back.read(gpu, this.#readback));
    return Array.from({ length: count }, (_, i) => [...ids.subarray(i * this.#topK, (i + 1) * this.#topK)]);
  }

  #record(first: number): Recorder {
    const pass = { ...this.base, rec: new Recorder(this.gpu), tokens: 1 };
    forecast(pass, this.model, first, FORESEEN_LAYERS, this.#chosen);
    return pass.rec;
  }

  async #program(first: number): Promise<Program> {
    let program = this.#programs.get(first);
    if (!program) {
      program = await this.#record(first).build(`forecast from layer ${first}`, this.#step);
      this.#programs.set(first, program);
    }
    return program;
  }
}

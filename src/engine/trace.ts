import { throwIfAborted } from '../errors.ts';
import { type Gpu, Profiler, type TimedDispatch } from '../gpu/index.ts';
import type { PenaltyList } from '../text/index.ts';
import { PASS_TOKENS, type StepRunner } from './step-runner.ts';
import type { Trace, TracedDispatch } from './types.ts';

const NO_PENALTIES: PenaltyList = { ids: new Uint32Array(), scale: new Float32Array(), shift: new Float32Array() };

/**
 * Reads a prompt and decodes tokens greedily, from a fresh sequence, timing every dispatch where the device has timestamp
 * queries, and whole passes by the clock where it has not.
 */
export async function traceAnswer(
  gpu: Gpu,
  runner: StepRunner,
  ids: readonly number[],
  tokens: number,
  signal?: AbortSignal,
): Promise<Trace> {
  const profiler = gpu.capabilities.timestamps ? new Profiler(gpu) : undefined;
  const timed = async (pass: () => Promise<unknown>): Promise<TracedDispatch[]> => {
    throwIfAborted(signal);
    const start = performance.now();
    await pass();
    const { position } = runner.state;
    if (profiler) return (await profiler.take()).map((dispatch) => traced(dispatch, position));
    await gpu.device.queue.onSubmittedWorkDone();
    const bytes = runner.stepCost.weightBytes;
    return [{ kernel: 'pass', variant: '', ms: performance.now() - start, bytes, flops: 0 }];
  };
  runner.profile(profiler);
  try {
    runner.reset();
    const prompt: TracedDispatch[] = [];
    const last = ids.length - 1;
    for (let at = 0; at < last; at += PASS_TOKENS) {
      const pass = ids.slice(at, Math.min(at + PASS_TOKENS, last));
      prompt.push(...(await timed(() => runner.read(pass, undefined, signal))));
    }
    const steps: TracedDispatch[][] = [];
    let next = ids[last];
    for (let n = 0; n < tokens; n++) {
      const step = await timed(async () => {
        const { ids: candidates, logits } = await runner.step([next], NO_PENALTIES, signal);
        next = candidates[logits.indexOf(logits.reduce((a, b) => Math.max(a, b)))];
      });
      // The first compiles what was not needed yet, and where experts come, a step may run parts of itself again.
      if (n > 0 || tokens === 1) steps.push(step);
    }
    const alike = steps.filter((step) => step.length === steps[0].length);
    const token = steps[0].map((dispatch, i) => ({
      ...dispatch,
      ms: alike.reduce((sum, step) => sum + step[i].ms, 0) / alike.length,
    }));
    const resolution = profiler ? 'dispatch' : 'pass';
    return { resolution, promptTokens: last, tokens: alike.length, prompt, token };
  } finally {
    runner.profile(undefined);
    profiler?.dispose();
  }
}

function traced(dispatch: TimedDispatch, keys: number): TracedDispatch {
  const { kernel, variant, weights, weightBytes, bytes, keyBytes, flops, keyFlops, ns } = dispatch;
  return {
    kernel,
    variant,
    ...(weights !== undefined && { weights }),
    ms: ns / 1e6,
    bytes: weightBytes + bytes + keyBytes * keys,
    flops: flops + keyFlops * keys,
  };
}

import { availableParallelism } from 'node:os';
import type { Gpu, Program } from '../src/gpu/index.ts';

/** `wall`, or `cpu`: processor time shared out over all cores, for a software adapter on a busy machine. */
export type Clock = 'wall' | 'cpu';

/**
 * Milliseconds of each program, the fastest of several runs: other work on the machine only ever slows one down. They run in
 * turn, so that a busy moment does not fall on one of them.
 */
export async function fastestInTurn(
  { device }: Gpu,
  programs: readonly Program[],
  { runs, clock }: { runs: number; clock: Clock },
): Promise<number[]> {
  const best = programs.map(() => Infinity);
  for (let run = 0; run <= runs; run++) {
    for (const [i, program] of programs.entries()) {
      const encoder = device.createCommandEncoder();
      program.encode(encoder);
      const started = milliseconds(clock);
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
      if (run > 0) best[i] = Math.min(best[i], milliseconds(clock) - started); // the first run compiles
    }
  }
  return best;
}

function milliseconds(clock: Clock): number {
  if (clock === 'wall') return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000 / availableParallelism();
}

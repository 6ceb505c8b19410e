/** What the map learns by looking again and again: how often experts were used, how fast they come, when to look next. */
import type { EngineStats } from '../engine/types.ts';
import { countPlaces, places } from './map-cells.ts';

/** While figures change, the engine is asked so often. */
export const LOOK_EVERY_MS = 250;
/** A moment without news is no end: a request to a slow server may take as long. */
const LOOK_SELDOM_MS = 2_000;
const NEWS_KEEP_MS = 2_000;
const WAIT_FOR_BYTES_MS = 60_000;
/** Time over which the rate is taken. */
const RATE_WINDOW_MS = 5_000;

export class MapWatch {
  /** `[layers × experts]`: passes in which the map saw the expert in use. It looks too seldom to see all. */
  #uses = new Uint32Array();
  #last?: EngineStats;
  #newsAt = -Infinity;
  #samples: { at: number; bytes: number }[] = [];

  /** Takes new figures. */
  see(stats: EngineStats, now: number): void {
    const { experts } = stats;
    if (experts && this.#uses.length !== experts.length) this.#uses = new Uint32Array(experts.length);
    const last = this.#last;
    this.#last = stats;
    if (experts && wanted(stats) > (last ? wanted(last) : 0)) {
      for (let i = 0; i < experts.length; i++) if (experts[i] === places.inUse) this.#uses[i]++;
    }
    if (!last || isNews(last, stats)) this.#newsAt = now;
    this.#samples.push({ at: now, bytes: stats.bytesFromNetwork });
    while (this.#samples.length > 2 && this.#samples[1].at <= now - RATE_WINDOW_MS) this.#samples.shift();
  }

  uses(index: number): number {
    return this.#uses[index] ?? 0;
  }

  /** Experts still come; false once nothing has come for a minute, as where nothing is stored and all slots are taken. */
  arriving(now: number): boolean {
    return this.#last !== undefined && expertsToCome(this.#last) > 0 && now - this.#newsAt < WAIT_FOR_BYTES_MS;
  }

  /** From the network; 0 until known. */
  get bytesPerSecond(): number {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (!last || last.at <= first.at) return 0;
    return (1000 * (last.bytes - first.bytes)) / (last.at - first.at);
  }

  /** Milliseconds until the next look; undefined when nothing is expected any more. @param active an answer is under way */
  next(now: number, active: boolean): number | undefined {
    if (active || now - this.#newsAt < NEWS_KEEP_MS) return LOOK_EVERY_MS;
    return this.arriving(now) ? LOOK_SELDOM_MS : undefined;
  }
}

/** Experts that are on the server alone, or else those for which slots are free. */
export function expertsToCome({ experts, expertSlots }: EngineStats): number {
  if (!experts) return 0;
  const [remote, , resident, inUse] = countPlaces(experts);
  return remote > 0 ? remote : Math.max(0, expertSlots - resident - inUse);
}

/** Experts that passes have asked for. */
function wanted({ expertHits, expertMisses }: EngineStats): number {
  return expertHits + expertMisses;
}

function isNews(before: EngineStats, after: EngineStats): boolean {
  return (
    wanted(before) !== wanted(after) ||
    before.bytesFromNetwork !== after.bytesFromNetwork ||
    before.expertTraffic?.resident !== after.expertTraffic?.resident
  );
}

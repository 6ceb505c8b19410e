/** Ends a stream of text before the first of some strings, and never shows a piece that may begin one of them. */
import { partialMatch } from './reasoning.ts';

export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';
  #stopped?: string;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** The stop string that was met. */
  get stopped(): string | undefined {
    return this.#stopped;
  }

  /** Text that is safe to show. Nothing more comes after a stop. */
  push(text: string): string {
    if (this.#stopped !== undefined) return '';
    if (this.#stops.length === 0) return text;
    this.#held += text;
    let first = Infinity;
    for (const stop of this.#stops) {
      const at = this.#held.indexOf(stop);
      if (at >= 0 && at < first) {
        first = at;
        this.#stopped = stop;
      }
    }
    const end = this.#stopped === undefined ? this.#held.length - this.#partial() : first;
    const shown = this.#held.slice(0, end);
    this.#held = this.#stopped === undefined ? this.#held.slice(end) : '';
    return shown;
  }

  /** What was held back, when no more text comes. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  #partial(): number {
    return Math.max(...this.#stops.map((stop) => partialMatch(this.#held, stop)));
  }
}

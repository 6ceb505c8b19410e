/** Drafts in a row of trial by which it is judged whether drafting pays. */
const TRIAL_DRAFTS = 16;
/** Below this share of accepted drafts they cost more than they save: a draft costs a part of a token's time, whether it is
 * the block's and its output's weights or another row in every product. */
const LEAST_ACCEPTED = 0.4;
/** Tokens without drafts after a poor trial; twice as many after each that follows, up to the most. */
const FIRST_PAUSE = 32;
const LONGEST_PAUSE = 512;

/**
 * Decides how many tokens to draft: the most, or none for a while where most were wrong. It counts tokens and measures no
 * time, so the same answers come of the same passes everywhere.
 */
export class DraftPace {
  #drafted = 0;
  #accepted = 0;
  /** Tokens still to come without drafts. */
  #pause = 0;
  #nextPause = FIRST_PAUSE;

  constructor(private readonly most: number) {}

  /** How many to draft with the next token. */
  get drafts(): number {
    return this.#pause > 0 ? 0 : this.most;
  }

  /** A pass has given `1 + accepted` tokens. */
  passed(drafted: number, accepted: number): void {
    if (drafted === 0) {
      this.#pause = Math.max(0, this.#pause - 1);
      return;
    }
    this.#drafted += drafted;
    this.#accepted += accepted;
    if (this.#drafted < TRIAL_DRAFTS) return;
    if (this.#accepted < LEAST_ACCEPTED * this.#drafted) {
      this.#pause = this.#nextPause;
      this.#nextPause = Math.min(2 * this.#nextPause, LONGEST_PAUSE);
    } else {
      this.#nextPause = FIRST_PAUSE;
    }
    this.#drafted = 0;
    this.#accepted = 0;
  }
}

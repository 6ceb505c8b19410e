import { QwenError } from '../errors.ts';
import type { Gpu, GpuBuffer } from '../gpu/index.ts';
import type { SequenceState } from '../model/state.ts';

/** Most GPU memory for snapshots. One takes some 20 MB of the 0.8B model, and 60 MB of the 35B one. */
export const SNAPSHOT_BYTES = 256 * 2 ** 20;

/** Most of what a memory budget leaves beside the weights: caches have to grow, too. */
export const SNAPSHOT_SHARE = 1 / 8;

/** More than a conversation's latest turns are seldom gone back to. */
export const MOST_SNAPSHOTS = 8;

interface Snapshot {
  /** Tokens read before it. */
  readonly position: number;
  readonly buffer: GpuBuffer;
}

/** An image of a sequence: tokens there stand for its content. */
export interface SequenceImage {
  readonly first: number;
  readonly key: string;
}

/**
 * Lets a request go on where an earlier one has been. Keys and values of every token that was read stay in their caches,
 * but the recurrent state of the DeltaNet layers cannot be wound back, so copies of it are kept at places that a next
 * request is likely to share: a prompt that leaves the sequence between two of them reads again from the earlier one.
 *
 * It holds one sequence. Where the next one leaves it, what came behind is forgotten.
 */
export class PrefixCache {
  /** What the caches hold, in order; the live state has read all of it. */
  readonly #tokens: number[] = [];
  /** Of the sequence; those behind its last token are not read yet. */
  #images: readonly SequenceImage[] = [];
  /** By position. */
  #snapshots: Snapshot[] = [];
  /** Of dropped snapshots, to be used again. */
  readonly #spare: GpuBuffer[] = [];
  readonly #most: number;

  /** @param bytes for snapshots; default: a part of what the budget leaves */
  constructor(
    private readonly gpu: Gpu,
    private readonly state: SequenceState,
    bytes = Math.min(SNAPSHOT_BYTES, (gpu.memoryBytes - gpu.bytes) * SNAPSHOT_SHARE),
  ) {
    this.#most = Math.min(MOST_SNAPSHOTS, Math.floor(bytes / state.recurrentBytes));
  }

  /** What was read, in order. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** Positions that can be gone back to. */
  get positions(): number[] {
    return this.#snapshots.map(({ position }) => position);
  }

  /** Tokens that `resume` would not read again. */
  match(prompt: readonly number[], images: readonly SequenceImage[] = []): number {
    const common = this.#common(prompt, images);
    return common < this.#tokens.length ? (this.#snapshotBefore(common)?.position ?? 0) : common;
  }

  /**
   * Sets the state to the longest beginning of `prompt` that it can be set to, and at least one token short of the whole:
   * there must be one to read for the logits behind it.
   * @returns tokens that need not be read
   */
  resume(prompt: readonly number[], images: readonly SequenceImage[] = []): number {
    const common = this.#common(prompt, images);
    this.#images = images;
    if (common < this.#tokens.length) {
      const snapshot = this.#snapshotBefore(common);
      if (snapshot) this.state.restore(snapshot.buffer, snapshot.position);
      else this.state.reset();
      this.#forgetFrom(this.state.position);
    }
    return this.#tokens.length;
  }

  /** These tokens were read. */
  advance(ids: readonly number[]): void {
    this.#tokens.push(...ids);
  }

  /** Keeps the state as it is here, for later requests, unless memory is short. */
  keep(): void {
    const { position } = this.state;
    if (position === 0 || this.#snapshots.some((snapshot) => snapshot.position === position)) return;
    const buffer = this.#takeBuffer();
    if (!buffer) return;
    this.state.save(buffer);
    this.#snapshots.push({ position, buffer });
    this.#snapshots.sort((a, b) => a.position - b.position);
  }

  /** The live state is of no use, left halfway through a pass: goes back to the last place that was kept. */
  rewind(): void {
    const snapshot = this.#snapshots.at(-1);
    if (snapshot) this.state.restore(snapshot.buffer, snapshot.position);
    else this.state.reset();
    this.#forgetFrom(this.state.position);
  }

  /** Forgets the sequence. @param images of the one that begins */
  clear(images: readonly SequenceImage[] = []): void {
    this.#images = images;
    this.state.reset();
    this.#forgetFrom(0);
  }

  dispose(): void {
    for (const { buffer } of this.#snapshots) buffer.dispose();
    for (const buffer of this.#spare) buffer.dispose();
  }

  /** How far the two sequences are alike. The tokens of all images are, so these are compared by content. */
  #common(prompt: readonly number[], images: readonly SequenceImage[]): number {
    let common = 0;
    const most = Math.min(prompt.length - 1, this.#tokens.length);
    while (common < most && prompt[common] === this.#tokens[common]) common++;
    for (let i = 0; i < Math.max(images.length, this.#images.length); i++) {
      const [ours, theirs] = [this.#images[i], images[i]];
      if (ours?.first === theirs?.first && ours?.key === theirs?.key) continue;
      return Math.min(common, ours?.first ?? Infinity, theirs?.first ?? Infinity);
    }
    return common;
  }

  #snapshotBefore(position: number): Snapshot | undefined {
    return this.#snapshots.findLast((snapshot) => snapshot.position <= position);
  }

  #forgetFrom(position: number): void {
    this.#tokens.length = position;
    const gone = this.#snapshots.filter((snapshot) => snapshot.position > position);
    this.#snapshots = this.#snapshots.filter((snapshot) => snapshot.position <= position);
    this.#spare.push(...gone.map(({ buffer }) => buffer));
  }

  #takeBuffer(): GpuBuffer | undefined {
    const spare = this.#spare.pop();
    if (spare) return spare;
    if (this.#snapshots.length < this.#most) {
      try {
        return this.gpu.createBuffer('state snapshot', this.state.recurrentBytes);
      } catch (error) {
        // It is a convenience: the model must not fail for want of it.
        const short = error instanceof QwenError && (error.code === 'out-of-memory' || error.code === 'device-limit');
        if (!short) throw error;
      }
    }
    // The first stands behind the system message, which every conversation of a page begins with.
    const [dropped] = this.#snapshots.splice(this.#snapshots.length > 2 ? 1 : 0, 1);
    return dropped?.buffer;
  }
}

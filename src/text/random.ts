/** A small seeded generator: the same seed gives the same numbers on every machine. */

/**
 * sfc32 (Chris Doty-Humphrey's "small fast counting" generator of PractRand: 128 bits of state, period at least 2^32),
 * seeded by murmur3's 32-bit finaliser.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed any safe integer */
  constructor(seed: number) {
    const low = seed >>> 0;
    const high = Math.floor(seed / 2 ** 32) >>> 0;
    this.#a = mixed(low);
    this.#b = mixed(high ^ 0x9e3779b9);
    this.#c = mixed(low ^ high ^ 0x85ebca6b);
    for (let i = 0; i < 12; i++) this.#bits(); // lets neighbouring seeds part
  }

  /** Uniform in [0, 1), 53 bits. */
  next(): number {
    const high = this.#bits() >>> 5; // 27 bits
    const low = this.#bits() >>> 6; // 26 bits
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  #bits(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }
}

/** A seed for a request that gave none. */
export function randomSeed(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high & 0x1fffff) * 2 ** 32 + low;
}

function mixed(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

// @ts-check
/**
 * Models for measuring speed: the shapes of published ones with fewer layers (and experts, and words), and random weights.
 * They are made when first needed, into bench/models/.
 *
 *     node bench/models.mjs [NAME …]     default: all of them
 */
import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gguf } from '../tools/fixtures/gguf-writer.mjs';
import { textModel } from '../tools/fixtures/models.mjs';
import { asciiVocabulary } from '../tools/fixtures/vocabulary.mjs';

const FOLDER = new URL('models/', import.meta.url);
const VOCABULARY = 32768;

/** @typedef {import('../tools/fixtures/models.mjs').TypeRule} TypeRule */

/** The two tiny projections of DeltaNet stay in F32, as in published files. @type {(rule: TypeRule) => TypeRule} */
const published = (rule) => (tensor, layer) => (/^ssm_(alpha|beta)\./.test(tensor) ? 'F32' : rule(tensor, layer));
const q4k = published((tensor) => (/^(token_embd|output|ffn_down_exps)\./.test(tensor) ? 'Q6_K' : 'Q4_K'));
const q8 = published(() => 'Q8_0');

const small = { layers: 8, hidden: 1024, heads: 8, kvHeads: 2, keyHeads: 16, valueHeads: 16, ffn: 3584, tied: true };
const moe = { layers: 4, hidden: 2048, heads: 16, kvHeads: 2, keyHeads: 16, valueHeads: 32 };

/** @type {Readonly<Record<string, Omit<import('../tools/fixtures/models.mjs').Recipe, 'seed' | 'words' | 'random'>>>} */
const RECIPES = {
  '0.8b-8-layers-q4_k': { ...small, name: '8 layers of 0.8B, Q4_K', types: q4k },
  '0.8b-8-layers-mtp-q4_k': { ...small, name: '8 layers of 0.8B and its MTP block, Q4_K', mtpLayers: 1, types: q4k },
  '0.8b-8-layers-q8_0': { ...small, name: '8 layers of 0.8B, Q8_0', types: q8 },
  '35b-a3b-4-layers-q4_k': {
    ...moe,
    name: '4 layers of 35B-A3B with 64 experts, Q4_K',
    ffn: { count: 64, used: 8, ff: 512, sharedFf: 512 },
    types: q4k,
  },
};

export const MODEL_NAMES = Object.keys(RECIPES);

/**
 * Makes the model where its file is missing.
 * @param {string} name
 * @returns {Promise<string>} path of the file
 */
export async function ensureModel(name) {
  const recipe = RECIPES[name];
  if (!recipe) throw new Error(`No model is called ${name}. There are: ${MODEL_NAMES.join(', ')}.`);
  const path = fileURLToPath(new URL(`${name}.gguf`, FOLDER));
  if (await exists(path)) return path;
  await mkdir(FOLDER, { recursive: true });
  const seed = 1;
  const { metadata, tensors } = textModel({
    ...recipe,
    seed,
    words: asciiVocabulary(VOCABULARY),
    random: new FastRandom(seed),
  });
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, gguf(metadata, tensors));
  await rename(temporary, path);
  return path;
}

/** @param {string} path */
function exists(path) {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Draws as the fixtures' generator does, some thirty times faster and without its promise of the same bytes as numpy's. */
class FastRandom {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed | 0;
  }

  /** Uniform 32 bits: a counter, hashed (murmur3's finaliser). */
  #next() {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  }

  /** @param {number} count */
  bytes(count) {
    const words = new Uint32Array(Math.ceil(count / 4));
    for (let i = 0; i < words.length; i++) words[i] = this.#next();
    return new Uint8Array(words.buffer, 0, count);
  }

  /**
   * @param {number} low
   * @param {number} high exclusive
   * @param {number} count
   */
  integers(low, high, count) {
    return Array.from({ length: count }, () => low + (this.#next() % (high - low)));
  }

  /**
   * @param {number} low
   * @param {number} high
   * @param {number} count
   */
  uniform(low, high, count) {
    const out = new Float64Array(count);
    for (let i = 0; i < count; i++) out[i] = low + ((high - low) * this.#next()) / 2 ** 32;
    return out;
  }

  /** By Box and Muller. @param {number} count */
  standardNormal(count) {
    const out = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const radius = Math.sqrt(-2 * Math.log((this.#next() + 1) / 2 ** 32));
      out[i] = radius * Math.cos((2 * Math.PI * this.#next()) / 2 ** 32);
    }
    return out;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const names = process.argv.slice(2);
  for (const name of names.length > 0 ? names : MODEL_NAMES) console.log(await ensureModel(name));
}

// @ts-check
/** Both ends of a program in the benchmark: it loads a model in a process of its own, then answers prompts when asked. */
import { fork } from 'node:child_process';

/**
 * @typedef {{ text: string, promptTokens: number, newTokens: number }} Task
 *   A prompt that is one token a letter, greedy decoding, no end-of-text.
 * @typedef {object} Measured
 * @property {number} prefill Prompt tokens per second, until the first new token is there.
 * @property {number} decode Tokens per second after the first.
 * @property {number} [dispatches] Of one decoded token.
 * @property {number} [readbackBytes] Of one decoded token.
 * @property {number} [scriptMs] Of one decoded token: JavaScript's part, from a readback to the next submit.
 * @property {number} [made] Buffers, bind groups and pipelines made for one decoded token.
 * @property {number} [weightBytes] Of one decoded token.
 */

/** The benchmark's end. */
export class Contestant {
  #child;
  /** @type {Promise<never>} */
  #ended;

  /**
   * @param {string} name
   * @param {{ script: string, model: string, args?: string[], node?: string }} program `node` runs it; default: this one
   */
  constructor(name, { script, model, args = [], node }) {
    this.name = name;
    this.#child = fork(script, [model, ...args], {
      ...(node && { execPath: node }),
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#ended = new Promise((_, reject) => {
      this.#child.on('exit', (code, signal) => reject(new Error(`${name} ended (${signal ?? code}).`)));
    });
    this.#ended.catch(() => {}); // told to whoever waits for it
  }

  async ready() {
    await this.#message();
  }

  /**
   * @param {Task} task
   * @returns {Promise<Measured>}
   */
  run(task) {
    this.#child.send(task);
    return this.#message();
  }

  /** @returns {Promise<Measured>} */
  #message() {
    return Promise.race([new Promise((resolve) => this.#child.once('message', resolve)), this.#ended]);
  }

  stop() {
    this.#child.kill('SIGKILL'); // nothing to save, and Dawn's build for Node may crash at exit
  }
}

/**
 * The program's end: loads, says so, and runs each task that the parent sends.
 * @param {(model: string, ...args: string[]) => Promise<(task: Task) => Promise<Measured>>} load
 */
export async function serve(load) {
  const [model, ...args] = process.argv.slice(2);
  try {
    const run = await load(model, ...args);
    process.on('message', (/** @type {Task} */ task) => {
      run(task).then(send, fail);
    });
    send('ready');
  } catch (error) {
    fail(error);
  }
}

/**
 * Clocks a stream that yields once a token.
 * @param {Task} task
 * @param {() => AsyncIterable<unknown> | Promise<AsyncIterable<unknown>>} start
 * @returns {Promise<Measured>}
 */
export async function clock({ promptTokens, newTokens }, start) {
  const begun = performance.now();
  let first = 0;
  let last = 0;
  let count = 0;
  for await (const _ of await start()) {
    last = performance.now();
    if (count++ === 0) first = last;
    if (count === newTokens) break;
  }
  if (count < newTokens) throw new Error(`${count} tokens came instead of ${newTokens}`);
  return { prefill: (promptTokens / (first - begun)) * 1000, decode: ((count - 1) / (last - first)) * 1000 };
}

/** @param {unknown} message */
function send(message) {
  process.send?.(message);
}

/** @param {unknown} error */
function fail(error) {
  console.error(error);
  process.exit(1);
}

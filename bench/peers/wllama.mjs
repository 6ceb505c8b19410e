// @ts-check
/**
 * ggml-webgpu, llama.cpp's WebGPU back end, as compiled into wllama: in Node 25 or newer (its WebAssembly waits for promises)
 * on Dawn. wllama expects a page; what it asks of one is given here. Argument: model.
 */
import { resolveObjectURL } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers';
import { createDawn } from '../../tools/dawn.mjs';
import { clock, serve } from '../contestant.mjs';

const PACKAGE = new URL('node_modules/@wllama/wllama/esm/', import.meta.url);
const WASM_URL = 'http://localhost/wllama.wasm';

/** Of all passes so far. */
let dispatches = 0;
let devices = 0;

/** @param {string} model */
async function load(model) {
  await providePage();
  const { Wllama } = await import(new URL('index.js', PACKAGE).href);
  const wllama = new Wllama(
    { default: WASM_URL },
    { suppressNativeLog: true, logger: { debug() {}, log() {}, warn() {}, error: console.error } },
  );
  await wllama.loadModel([new File([await readFile(model)], 'model.gguf')], {
    n_ctx: 4096,
    n_batch: 512,
    n_threads: 1,
    n_gpu_layers: 999,
  });
  if (devices === 0) throw new Error('wllama did not open a GPU device: it would run on the CPU.');

  return async (/** @type {import('../contestant.mjs').Task} */ task) => {
    let atFirst = -1;
    /** @type {{ timings?: { prompt_n?: number } } | undefined} */
    let last;
    const measured = await clock(task, async function* () {
      const chunks = await wllama.createCompletion({
        prompt: task.text,
        max_tokens: task.newTokens,
        temperature: 0,
        stream: true,
        cache_prompt: false,
        ignore_eos: true,
      });
      for await (const chunk of chunks) {
        if (atFirst < 0) atFirst = dispatches;
        last = chunk;
        yield chunk;
      }
    });
    const read = last?.timings?.prompt_n;
    if (read !== undefined && read !== task.promptTokens) {
      throw new Error(`wllama read ${read} prompt tokens, not ${task.promptTokens}`);
    }
    return { ...measured, dispatches: (dispatches - atFirst) / (task.newTokens - 1) };
  };
}

async function providePage() {
  waitPatiently();
  const gpu = await createDawn();
  countUse();
  const storage = { getDirectory: () => Promise.reject(new Error('there is no storage here')) };
  Object.defineProperty(globalThis, 'navigator', {
    configurable: true,
    // Its version decides whether wllama believes in WebGPU and JSPI.
    value: { gpu, hardwareConcurrency: 2, language: 'en', userAgent: 'Chrome/156 Safari', storage },
  });
  Object.assign(globalThis, {
    self: globalThis,
    location: { href: 'http://localhost/' },
    WorkerGlobalScope: class {},
    WorkerNavigator: class {},
    Worker: SameThreadWorker,
  });
  // Emscripten's code looks here before it decides that it runs in Node.
  Object.defineProperty(process, 'type', { value: 'renderer' });
  const wasm = await readFile(new URL('wasm/wllama.wasm', PACKAGE));
  const { fetch } = globalThis;
  globalThis.fetch = async (input, init) =>
    String(input) === WASM_URL
      ? new Response(wasm, { headers: { 'content-type': 'application/wasm' } })
      : fetch(input, init);
}

/** ggml-webgpu gives up on work that takes half a minute: too short for long prompts on a software adapter. */
function waitPatiently() {
  const { setTimeout } = globalThis;
  const timer = (/** @type {() => void} */ then, ms = 0, /** @type {unknown[]} */ ...args) =>
    setTimeout(then, ms < 10_000 ? ms : 3_600_000, ...args);
  globalThis.setTimeout = Object.assign(timer, setTimeout);
}

function countUse() {
  const { dispatchWorkgroups } = GPUComputePassEncoder.prototype;
  GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...args) {
    dispatches++;
    return dispatchWorkgroups.apply(this, args);
  };
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = function (...args) {
    devices++;
    return requestDevice.apply(this, args);
  };
}

/** A worker whose script runs in this thread, where the GPU is. Messages arrive in later turns, as they would. */
class SameThreadWorker {
  /** @type {((event: { data: unknown }) => void) | undefined} */
  onmessage;
  #receive;

  /** @param {string | URL} url of a Blob */
  constructor(url) {
    this.#receive = this.#start(String(url));
  }

  /** @param {string} url */
  async #start(url) {
    const script = await resolveObjectURL(url)?.text();
    const post = (/** @type {unknown} */ data) => setImmediate(() => this.onmessage?.({ data }));
    const start = new Function('postMessage', `let onmessage;\n${script}\nreturn (event) => onmessage(event);`);
    return /** @type {(event: { data: unknown }) => void} */ (start(post));
  }

  /** @param {unknown} data */
  postMessage(data) {
    this.#receive.then((receive) => setImmediate(() => receive({ data })));
  }

  terminate() {}
}

await serve(load);

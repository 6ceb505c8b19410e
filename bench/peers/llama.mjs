// @ts-check
/** llama.cpp on the CPU, two threads, as prebuilt for node-llama-cpp. */

/** Hidden from the type checker, since peers are installed on demand. */
const PACKAGE = 'node-llama-cpp';

/** @param {string} modelPath @param {object} options of its context */
export async function openLlama(modelPath, options) {
  const { getLlama, LlamaLogLevel } = await import(PACKAGE);
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    logLevel: LlamaLogLevel.error,
    progressLogs: false,
  });
  const model = await llama.loadModel({ modelPath, gpuLayers: 0, ignoreMemorySafetyChecks: true });
  const context = await model.createContext({ batchSize: 512, threads: 2, ignoreMemorySafetyChecks: true, ...options });
  return { llama, model, context };
}

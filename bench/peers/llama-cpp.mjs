// @ts-check
/** llama.cpp on the CPU, two threads, as prebuilt for node-llama-cpp: for orientation. Argument: model. */
import { clock, serve } from '../contestant.mjs';

/** Hidden from the type checker, since peers are installed on demand. */
const PACKAGE = 'node-llama-cpp';

await serve(async (modelPath) => {
  const { getLlama, LlamaLogLevel } = await import(PACKAGE);
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    logLevel: LlamaLogLevel.error,
    progressLogs: false,
  });
  const model = await llama.loadModel({ modelPath, gpuLayers: 0, ignoreMemorySafetyChecks: true });
  const context = await model.createContext({
    contextSize: 4096,
    batchSize: 512,
    threads: 2,
    ignoreMemorySafetyChecks: true,
  });
  return async (task) => {
    const sequence = context.getSequence();
    const prompt = model.tokenize(task.text);
    if (prompt.length !== task.promptTokens) {
      throw new Error(`llama.cpp sees ${prompt.length} prompt tokens, not ${task.promptTokens}`);
    }
    try {
      return await clock(task, async () => sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true }));
    } finally {
      await sequence.clearHistory();
      sequence.dispose();
    }
  };
});

// @ts-check
/** llama.cpp on the CPU: for orientation. Argument: model. */
import { clock, serve } from '../contestant.mjs';
import { openLlama } from './llama.mjs';

await serve(async (modelPath) => {
  const { model, context } = await openLlama(modelPath, { contextSize: 4096 });
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

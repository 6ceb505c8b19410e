// @ts-check
/** Our library as it is built, in Node on Dawn. Arguments: model, f32 or f16. */
import { openAsBlob } from 'node:fs';
import { serve } from './contestant.mjs';
import { openDawn } from './dawn.mjs';

/** Hidden from the type checker, which may run before a build. */
const LIBRARY = new URL('../dist/lib/index.js', import.meta.url).href;

await serve(async (model, precision) => {
  /** @type {typeof import('../src/index.ts')} */
  const { Engine } = await import(LIBRARY);
  const engine = await Engine.load({
    model: await openAsBlob(model),
    gpu: await openDawn(),
    precision: precision === 'f16' ? 'f16' : 'f32',
    store: 'none',
    contextLength: 4096,
  });
  return async ({ text, promptTokens, newTokens }) => {
    const prompt = await engine.tokenize(text);
    if (prompt.length !== promptTokens) throw new Error(`the prompt has ${prompt.length} tokens, not ${promptTokens}`);
    await engine.completions.create({ prompt, max_tokens: newTokens, temperature: 0, ignore_eos: true });
    const stats = engine.stats();
    return {
      prefill: stats.prefillTokensPerSecond,
      decode: stats.decodeTokensPerSecond,
      dispatches: stats.dispatchesPerToken,
      readbackBytes: stats.readbackBytesPerToken,
      weightBytes: stats.weightBytesPerToken,
    };
  };
});

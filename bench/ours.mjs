// @ts-check
/** Our library as it is built, in Node on Dawn. Arguments: model, precision (f32, f16 or int8). */
import { openAsBlob } from 'node:fs';
import { serve } from './contestant.mjs';
import { openDawn } from './dawn.mjs';
import { watchScript } from './script-costs.mjs';

/** Hidden from the type checker, which may run before a build. */
const LIBRARY = new URL('../dist/lib/index.js', import.meta.url).href;

await serve(async (model, wanted) => {
  /** @type {typeof import('../src/index.ts')} */
  const { Engine } = await import(LIBRARY);
  const precision = /** @type {const} */ (['f32', 'f16', 'int8']).find((name) => name === wanted);
  if (!precision) throw new Error(`${wanted} is no precision`);
  const gpu = await openDawn();
  const script = watchScript(gpu);
  const engine = await Engine.load({
    model: await openAsBlob(model),
    gpu,
    precision,
    store: 'none',
    contextLength: 4096,
  });
  return async ({ text, promptTokens, newTokens }) => {
    const prompt = await engine.tokenize(text);
    if (prompt.length !== promptTokens) throw new Error(`the prompt has ${prompt.length} tokens, not ${promptTokens}`);
    const request = { prompt, max_tokens: newTokens, temperature: 0, ignore_eos: true };
    let tokens = 0;
    for await (const _ of await engine.completions.create({ ...request, stream: true })) {
      // A first answer may make programs; the second token is the first that only decodes.
      if (++tokens === 2) script.reset();
    }
    const stats = engine.stats();
    const { ms, readbacks, made } = script.costs;
    return {
      prefill: stats.prefillTokensPerSecond,
      decode: stats.decodeTokensPerSecond,
      dispatches: stats.dispatchesPerToken,
      readbackBytes: stats.readbackBytesPerToken,
      scriptMs: ms / readbacks,
      made: made / readbacks,
      weightBytes: stats.weightBytesPerToken,
    };
  };
});

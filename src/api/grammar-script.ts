import { messageOf, QwenError } from '../errors.ts';
import type { GrammarLibrary } from '../text/index.ts';

/** Where the grammar library lies: a file beside the engine's worker, which bundlers carry along from here. */
export function grammarScript(): string {
  return new URL('../../workers/grammar.ts', import.meta.url).href;
}

/** @throws QwenError `no-grammar` */
export async function loadGrammarLibrary(address: string): Promise<GrammarLibrary> {
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ address)) as GrammarLibrary;
  } catch (error) {
    throw noGrammar(error);
  }
}

/** The library is WebAssembly, which a page's policy may forbid, and is compiled when it is first used. */
export function noGrammar(error: unknown): QwenError {
  return new QwenError(
    'no-grammar',
    `The library that holds answers to a format could not be started: ${messageOf(error)}. Check that the page's Content-Security-Policy allows 'wasm-unsafe-eval' and the script in script-src, and that the network is there.`,
    { cause: error },
  );
}

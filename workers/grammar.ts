/** The grammar library: no worker, but a file of its own beside them, which the engine imports when a request needs it. */
import { GrammarCompiler, GrammarMatcher, TokenizerInfo } from '@mlc-ai/web-xgrammar';
import type { GrammarLibrary } from '../src/text/index.ts';

({ GrammarCompiler, GrammarMatcher, TokenizerInfo }) satisfies GrammarLibrary;

export { GrammarCompiler, GrammarMatcher, TokenizerInfo };

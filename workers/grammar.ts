/** The grammar library: no worker, but a file of its own beside them, which the engine imports when a request needs it. */
export { GrammarCompiler, GrammarMatcher, TokenizerInfo } from '@mlc-ai/web-xgrammar';

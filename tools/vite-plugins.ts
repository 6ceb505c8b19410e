import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { Plugin } from 'vite';

/** Shader sources without comments, indentation and blank lines: they ship as strings that no minifier reads. */
export function stripShaders(): Plugin {
  return {
    name: 'strip-shaders',
    apply: 'build',
    enforce: 'pre',
    load: {
      filter: { id: /\.wgsl\?raw$/ },
      async handler(id) {
        const source = await readFile(id.slice(0, -'?raw'.length), 'utf8');
        return { code: `export default ${JSON.stringify(stripShader(source))}`, moduleType: 'js' };
      },
    },
  };
}

/** @throws Error at a block comment within a block comment, which WGSL allows and this does not follow. */
export function stripShader(source: string): string {
  // WGSL has no strings, so comment marks are always comments; the one that begins first wins.
  const code = source.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, ' ');
  if (code.includes('*/')) throw new Error('A shader has nested block comments. Use line comments.');
  return code
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .join('\n');
}

/**
 * The linker can append a source map to a shader; nothing here asks it to. The words it would write are taken by the next
 * bundler for a reference to the script's own map, which it then fails to read.
 */
export function hideSourceMapWords(): Plugin {
  return {
    name: 'hide-source-map-words',
    apply: 'build',
    transform: {
      filter: { id: /\/node_modules\/wesl\//, code: 'sourceMappingURL=' },
      handler: (code) => ({ code: code.replaceAll('sourceMappingURL=', 'sourceMappingUrl='), map: null }),
    },
  };
}

/** What `grammarLibrary` rewrites: each text must be there, or the package has changed and the rewriting with it. */
const GRAMMAR_REWRITES: readonly (readonly [RegExp, string])[] = [
  // UMD, which a package of "type": "module" cannot be loaded as.
  [/^\(function \(global, factory\) \{[\s\S]*?\(function \(exports\) \{ 'use strict';/, 'const exports = {};'],
  [
    /exports\.default = index;\s+Object\.defineProperty\(exports, '__esModule'[^\n]*\n[\s\S]*$/,
    'export { Grammar, GrammarCompiler, GrammarMatcher, Testings, TokenizerInfo };',
  ],
  // Where the script lies and which platform runs it matters to a program that loads files; the WebAssembly is in the text.
  [/\(typeof document === 'undefined' && typeof location === 'undefined'.*?document\.baseURI\)\.href\)\)/g, "''"],
  [/(?<=ENVIRONMENT_IS_NODE=)typeof process=="object"&&[^;]*/, 'false'],
  [/await import\('module'\)/, '{}'],
];

/**
 * The grammar library as an ES module that runs wherever ES modules do: its own file is UMD and, under Node, asks for
 * `require` and `__filename`, which modules lack.
 */
export function grammarLibrary(): Plugin {
  return {
    name: 'grammar-library',
    enforce: 'pre',
    config: () => ({ optimizeDeps: { exclude: ['@mlc-ai/web-xgrammar'] } }),
    transform: {
      filter: { id: /\/@mlc-ai\/web-xgrammar\/lib\/index\.js/ },
      handler(code) {
        let module = code;
        for (const [pattern, replacement] of GRAMMAR_REWRITES) {
          if (!pattern.test(module))
            throw new Error(`@mlc-ai/web-xgrammar has no ${pattern} any more: look at it anew.`);
          module = module.replace(pattern, replacement);
        }
        return { code: module, map: null };
      },
    },
  };
}

/** `new URL('…/workers/NAME.ts', import.meta.url)`, with the path up to the name and the name as groups. */
const WORKER_URL = /new\s+URL\(\s*(['"])[^'"]*\/workers\/([\w-]+)\.ts\1\s*,\s*import\.meta\.url\s*\)/g;

/**
 * Workers are files of their own beside the library, built before it. References become
 * `new URL("./NAME.js", import.meta.url)`: the one form that browsers run as it is and that Vite, webpack, Rollup and
 * Parcel recognise. Vite's own treatment writes a form that the next bundler does not.
 */
export function referToBuiltWorkers(): Plugin {
  // An identifier while Vite and the minifier are at work, a literal once they are done. Same length: maps stay right.
  const literals = new Map<string, string>();
  return {
    name: 'refer-to-built-workers',
    apply: 'build',
    enforce: 'pre',
    transform: {
      filter: { code: WORKER_URL },
      handler(code) {
        const replaced = code.replace(WORKER_URL, (_, _quote, name: string) => {
          const literal = `"./${name}.js"`;
          const identifier = `$worker_${name.replaceAll('-', '_')}`.padEnd(literal.length, '$');
          literals.set(identifier, literal);
          return `new URL(${identifier}, import.meta.url)`;
        });
        return { code: replaced, map: null };
      },
    },
    generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue;
        for (const [identifier, literal] of literals) chunk.code = chunk.code.replaceAll(identifier, literal);
        // The minifier prefers template literals, which not every bundler reads as constants.
        chunk.code = chunk.code.replaceAll('import.meta.url),{type:`module`', 'import.meta.url),{type:"module"');
      }
    },
  };
}

/** The same references for a page: the built workers are copied into it as assets. */
export function copyBuiltWorkers(libraryFolder: string): Plugin {
  return {
    name: 'copy-built-workers',
    apply: 'build',
    enforce: 'pre',
    transform: {
      filter: { code: WORKER_URL },
      async handler(code) {
        const references = new Map<string, string>();
        for (const [, , name] of code.matchAll(WORKER_URL)) {
          if (references.has(name)) continue;
          const file = resolve(libraryFolder, `${name}.js`);
          references.set(name, this.emitFile({ type: 'asset', name: basename(file), source: await readFile(file) }));
        }
        const replaced = code.replace(
          WORKER_URL,
          (_, _quote, name: string) => `new URL(import.meta.ROLLUP_FILE_URL_${references.get(name)})`,
        );
        return { code: replaced, map: null };
      },
    },
  };
}

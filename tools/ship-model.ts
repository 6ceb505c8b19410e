import { readFile } from 'node:fs/promises';
import type { Plugin } from 'vite';
import { ensureFixtures } from './fixtures/make.mjs';

/** Puts a model of the fixtures beside the page, as `models/NAME.gguf`: built in, and served in development. */
export function shipModel(name: string): Plugin {
  const file = `${name}.gguf`;
  return {
    name: 'ship-model',
    async generateBundle() {
      await ensureFixtures([name]);
      const source = await readFile(new URL(`../fixtures/models/${file}`, import.meta.url));
      this.emitFile({ type: 'asset', fileName: `models/${file}`, source });
    },
    async configureServer({ middlewares }) {
      await ensureFixtures([name]);
      middlewares.use((request, _response, next) => {
        // Vite itself serves the file then, ranges and all.
        if (request.url?.split('?')[0] === `/models/${file}`) request.url = `/fixtures/models/${file}`;
        next();
      });
    },
  };
}

import { readFile } from 'node:fs/promises';
import type { Plugin } from 'vite';

const FOLDER = 'demo/models';

/** Puts files of demo/models beside the page, as `models/NAME`: built in, and served in development. */
export function shipModels(names: readonly string[]): Plugin {
  return {
    name: 'ship-models',
    async generateBundle() {
      for (const name of names) {
        const source = await readFile(new URL(`../${FOLDER}/${name}`, import.meta.url));
        this.emitFile({ type: 'asset', fileName: `models/${name}`, source });
      }
    },
    configureServer({ middlewares }) {
      middlewares.use((request, _response, next) => {
        const path = request.url?.split('?')[0];
        // Vite itself serves the file then, ranges and all.
        if (names.some((name) => path === `/models/${name}`)) request.url = `/demo${path}`;
        next();
      });
    },
  };
}

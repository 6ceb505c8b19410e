import { readFile } from 'node:fs/promises';
import type { Plugin } from 'vite';

const FOLDER = 'demo';

/** Puts files of demo/ beside the page, at the same path and under their own names: built in, and served in development. */
export function shipFiles(paths: readonly string[]): Plugin {
  return {
    name: 'ship-files',
    async generateBundle() {
      for (const path of paths) {
        const source = await readFile(new URL(`../${FOLDER}/${path}`, import.meta.url));
        this.emitFile({ type: 'asset', fileName: path, source });
      }
    },
    configureServer({ middlewares }) {
      middlewares.use((request, _response, next) => {
        const path = request.url?.split('?')[0];
        // Vite itself serves the file then, ranges and all.
        if (paths.some((each) => path === `/${each}`)) request.url = `/${FOLDER}${path}`;
        next();
      });
    },
  };
}

import { readFile } from 'node:fs/promises';
import type { Plugin } from 'vite';

/**
 * Puts files beside the page under their own names: built in, and served in development.
 * @param files path beside the page, and where the file is
 */
export function shipFiles(files: Readonly<Record<string, string>>): Plugin {
  return {
    name: 'ship-files',
    async generateBundle() {
      for (const [fileName, path] of Object.entries(files)) {
        this.emitFile({ type: 'asset', fileName, source: await readFile(new URL(`../${path}`, import.meta.url)) });
      }
    },
    configureServer({ middlewares }) {
      middlewares.use((request, _response, next) => {
        const path = files[request.url?.split('?')[0].slice(1) ?? ''];
        // Vite itself serves the file then, ranges and all.
        if (path) request.url = `/${path}`;
        next();
      });
    },
  };
}

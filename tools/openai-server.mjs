/** Starts `tools/serve.ts`, which says what it does and takes, on a Node that runs no TypeScript by itself. */
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const { module } = await runnerImport(fileURLToPath(new URL('serve.ts', import.meta.url)));
// The runner that read the file is closed by now, so what it imports later comes through Node.
const load = (/** @type {string} */ name) => import(name);
await module.main(process.argv.slice(2), load).catch((/** @type {Error} */ error) => {
  console.error(error.message);
  process.exitCode = 1;
});

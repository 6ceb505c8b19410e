/**
 * Starts the server of synthetic models: `node tools/synthetic-server.mjs [port]`, default 8010. It prints the addresses;
 * `tools/synthetic-server.ts` says what their query parameters do.
 */
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

// Plain Node cannot load TypeScript at version 20, so it comes through Vite's module runner.
const { module } = await runnerImport(fileURLToPath(new URL('synthetic-server.ts', import.meta.url)));
const server = await module.startSyntheticServer({ port: Number(process.argv[2] ?? 8010) });
console.log(server.urls.join('\n'));

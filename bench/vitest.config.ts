import { defineConfig } from 'vitest/config';
import { findDawnAdapter } from '../tools/adapters.mjs';
import { grammarLibrary } from '../tools/vite-plugins.ts';

/**
 * Benchmarks of kernels in Node on Dawn: `npx vitest run --config bench/vitest.config.ts bench/matvec.bench.ts`.
 * They are tests that print what they measured, so that they share the tests' devices and matrices.
 */
const adapter = await findDawnAdapter();
if (!adapter)
  throw new Error('Dawn finds no adapter to measure on. Install a Vulkan driver, such as Mesa 25 or newer.');

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  plugins: [grammarLibrary()],
  test: {
    name: adapter.name,
    server: { deps: { inline: [/web-xgrammar/] } },
    include: ['bench/**/*.bench.ts'],
    pool: 'forks',
    maxWorkers: 1,
    env: adapter.env,
    testTimeout: 600_000,
    hookTimeout: 120_000,
  },
});

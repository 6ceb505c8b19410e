import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectConfiguration } from 'vitest/config';
import { F16_REMEDY, f16Required, findDawnAdapter } from './tools/adapters.mjs';
import { findBrowser, launchOptions } from './tools/browser.mjs';
import { grammarLibrary } from './tools/vite-plugins.ts';

/** Rooms whose tests need a GPU. The same files run in Node on Dawn and in a browser. */
const GPU_TESTS = 'src/{gpu,kernels,model,experts,engine}/**/*.test.ts';
/** Tests that need a browser for another reason: the DOM, IndexedDB, workers. */
const BROWSER_TESTS = 'src/**/*.browser.test.ts';

/** Minutes on SwiftShader, for bookkeeping that no adapter changes: in Node only, where there is an adapter. */
const NODE_IF_POSSIBLE = [
  'decode-costs',
  'device-lost',
  'early',
  'full-width',
  'memory-plan',
  'prefix-cache',
  'step-ahead',
  'streaming',
  'tensor-names',
].map((name) => `src/engine/${name}.test.ts`);

declare module 'vitest' {
  interface ProvidedContext {
    /** In the browser: the same file runs in Node as well. */
    alsoInNode: boolean;
  }
}

/** Tests that need programs or packages for Node. */
const NODE_ONLY = ['src/engine/drafting.test.ts', 'src/engine/structured-output.test.ts'];

const [adapter, browser] = await Promise.all([findDawnAdapter(), findBrowser()]);
if (f16Required() && !adapter?.f16) throw new Error(`No adapter with shader-f16 for the f16 kernels. ${F16_REMEDY}`);

const projects: TestProjectConfiguration[] = [];

/** As with the whole-page tests: what passes only at the second try is listed under the summary of `npm test`. */
const retry = process.env.CI ? 1 : 0;

/** Node reads packages by itself, unless they have to be rewritten. */
const IN_NODE = { deps: { inline: [/web-xgrammar/] } };

projects.push({
  plugins: [grammarLibrary()],
  test: {
    name: 'node',
    retry,
    server: IN_NODE,
    include: ['{src,demo,tools}/**/*.test.ts'],
    exclude: [GPU_TESTS, BROWSER_TESTS],
    testTimeout: 60_000,
  },
});

// What is left out for want of an adapter or a browser is said, or refused, by tools/test.mjs.
if (adapter !== undefined) {
  projects.push({
    plugins: [grammarLibrary()],
    test: {
      name: 'dawn',
      retry,
      server: IN_NODE,
      include: [GPU_TESTS],
      exclude: [BROWSER_TESTS],
      // Dawn's native module belongs to one process each; threads would share it.
      pool: 'forks',
      env: adapter.env,
      provide: { alsoInNode: false },
      testTimeout: 120_000,
      hookTimeout: 120_000,
      sequence: { groupOrder: 1 },
    },
  });
}

if (browser !== undefined) {
  projects.push({
    plugins: [grammarLibrary()],
    test: {
      name: 'chromium',
      retry,
      include: [GPU_TESTS, BROWSER_TESTS],
      exclude: [...NODE_ONLY, ...(adapter === undefined ? [] : NODE_IF_POSSIBLE)],
      provide: { alsoInNode: adapter !== undefined },
      testTimeout: 300_000,
      hookTimeout: 300_000,
      sequence: { groupOrder: 2 },
      // The browser's GPU process is one queue for all pages: files side by side only slow each other down.
      fileParallelism: false,
      browser: {
        enabled: true,
        headless: true,
        provider: playwright({ launchOptions: launchOptions(browser) }),
        instances: [{ browser: 'chromium' }],
        screenshotFailures: false,
      },
    },
  });
}

export default defineConfig({
  test: {
    maxWorkers: 2,
    globalSetup: 'tools/fixtures/vitest-setup.ts',
    reporters: ['default', './tools/failed-tests.mjs'],
    projects,
  },
});

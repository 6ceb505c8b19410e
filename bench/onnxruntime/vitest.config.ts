import { realpathSync } from 'node:fs';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { findBrowser, launchOptions } from '../../tools/browser.mjs';

/** onnxruntime-web beside our products, in one page: `npx vitest run --config bench/onnxruntime/vitest.config.ts`. */
const browser = await findBrowser();
if (!browser) throw new Error('No browser to measure in. Set CHROME_PATH, or see docs/developing.md.');

const root = new URL('../..', import.meta.url).pathname;
/** Where the peers may be linked from. */
const peers = realpathSync(new URL('../peers/node_modules', import.meta.url));

export default defineConfig({
  root,
  server: { fs: { allow: [root, peers, realpathSync(new URL('../../node_modules', import.meta.url))] } },
  define: { PEERS: JSON.stringify(`/@fs${peers}`) },
  optimizeDeps: { include: ['wesl/core'] },
  test: {
    include: ['bench/onnxruntime/*.bench.ts'],
    testTimeout: 600_000,
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

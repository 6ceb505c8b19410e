import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { findBrowser, launchOptions } from '../../tools/browser.mjs';

/** The stores side by side in Chromium: `npx vitest run --config bench/stores/vitest.config.ts`. */
const browser = await findBrowser();
if (!browser) throw new Error('No browser to measure in. Set CHROME_PATH, or see docs/developing.md.');

const profile = mkdtempSync(join(tmpdir(), 'qwen-webgpu-stores-'));
process.on('exit', () => rmSync(profile, { recursive: true, force: true }));

export default defineConfig({
  root: new URL('../..', import.meta.url).pathname,
  // Known from the start, or the page is loaded anew in the middle of a run.
  optimizeDeps: { include: ['comlink', 'idb-keyval', '@huggingface/jinja', '@huggingface/tokenizers', 'wesl/core'] },
  test: {
    include: ['bench/stores/*.bench.ts'],
    testTimeout: 600_000,
    fileParallelism: false,
    browser: {
      enabled: true,
      headless: true,
      // A private window's files go through another process, and live in memory: nobody keeps a model there.
      provider: playwright({
        launchOptions: launchOptions(browser),
        persistentContext: profile,
      }),
      instances: [{ browser: 'chromium' }],
      screenshotFailures: false,
    },
  },
});

import { defineConfig } from 'playwright/test';
import { BROWSER_REMEDY, findBrowser, launchOptions } from './tools/browser.mjs';

const browser = await findBrowser();
if (browser === undefined) throw new Error(`No browser for the tests. ${BROWSER_REMEDY}`);

const port = Number(process.env.E2E_PORT ?? 8931);

/** Whole-page tests against what `npm run build` wrote. `localhost` at the same port is another origin for them. */
export default defineConfig({
  testDir: 'e2e',
  globalSetup: './tools/fixtures/vitest-setup.ts',
  // One GPU, or one processor posing as one, but half of the specs wait for a page rather than for a model.
  workers: 2,
  timeout: 180_000,
  expect: { timeout: 60_000 },
  forbidOnly: true,
  // A browser's GPU process may fail by itself. What passes only then is listed as flaky, with what the page showed.
  retries: process.env.CI ? 1 : 0,
  reporter: [['list'], ['./tools/page-reporter.mjs']],
  use: {
    baseURL: `http://127.0.0.1:${port}/`,
    browserName: 'chromium',
    launchOptions: launchOptions(browser),
    screenshot: 'only-on-failure',
    trace: 'off',
  },
  webServer: {
    command: `node tools/serve.mjs --port ${port}`,
    url: `http://127.0.0.1:${port}/`,
    reuseExistingServer: false,
  },
});

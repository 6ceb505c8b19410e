/** `test` for the built page: it fails for whatever the page's own Content-Security-Policy refused. */
import { type BrowserContext, test as base, expect } from 'playwright/test';

async function watchPolicy(context: BrowserContext): Promise<() => void> {
  const refused: string[] = [];
  await context.exposeFunction('tellRefused', (what: string) => refused.push(what));
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      const { effectiveDirective, blockedURI, sample, sourceFile, lineNumber } = event;
      const { tellRefused } = globalThis as unknown as { tellRefused(what: string): void };
      tellRefused(`${effectiveDirective}: ${blockedURI} ${sample} ${sourceFile}:${lineNumber}`);
    });
  });
  return () => expect(refused, 'what the Content-Security-Policy refused').toEqual([]);
}

/** Without the service worker, which would only fetch the page once more; `test.use({ serviceWorkers: 'allow' })` has it. */
export const test = base.extend<{ policy: undefined }>({
  serviceWorkers: 'block',
  policy: [
    async ({ context }, use) => {
      const check = await watchPolicy(context);
      await use(undefined);
      check();
    },
    { auto: true },
  ],
});

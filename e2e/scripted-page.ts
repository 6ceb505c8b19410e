/** The demo page with a scripted double in place of an engine: for what needs neither a model nor a GPU. */
import { type BrowserContext, test as base, expect, type Page } from 'playwright/test';
import type { QwenChat } from '../src/ui/qwen-chat.ts';
import { answers, composer, statusLine } from './demo-page.ts';
import { type Script, scriptedEngine } from './scripted-engine.ts';

/** An address at which there is no model: the page then loads none. */
const NO_MODEL = '/?model=/none.gguf';

export async function openScripted(page: Page, ...scripts: Script[]): Promise<void> {
  await page.goto(NO_MODEL);
  await giveScripts(page, ...scripts);
}

/** As after a reload. */
export async function giveScripts(page: Page, ...scripts: Script[]): Promise<void> {
  await expect(page.getByText('could not be loaded')).toBeVisible();
  await page.evaluate(`globalThis.scriptedEngine = ${scriptedEngine.toString()}`);
  await page.evaluate((given) => {
    const { scriptedEngine: make } = globalThis as unknown as { scriptedEngine: typeof scriptedEngine };
    (document.querySelector('qwen-chat') as QwenChat).engine = make(...given);
  }, scripts);
  await expect(statusLine(page).locator('b')).toBeVisible();
}

/** Asks, and waits for the whole answer. */
export async function askScripted(page: Page, text: string): Promise<void> {
  const before = await answers(page).count();
  await composer(page).fill(text);
  await composer(page).press('Enter');
  await expect(answers(page).nth(before).getByRole('button', { name: 'Copy as Markdown' })).toBeVisible();
}

/** Fails at the end for whatever a page's Content-Security-Policy refused, in any of the context's pages. */
export async function watchPolicy(context: BrowserContext): Promise<() => void> {
  const refused: string[] = [];
  await context.exposeFunction('tellRefused', (what: string) => refused.push(what));
  await context.addInitScript(() => {
    document.addEventListener(
      'securitypolicyviolation',
      ({ effectiveDirective, blockedURI, sample, sourceFile, lineNumber }) => {
        const { tellRefused } = globalThis as unknown as { tellRefused(what: string): void };
        tellRefused(`${effectiveDirective}: ${blockedURI} ${sample} ${sourceFile}:${lineNumber}`);
      },
    );
  });
  return () => expect(refused, 'what the Content-Security-Policy refused').toEqual([]);
}

/** `test` for the built page: nothing in it may be refused by the page's own policy. */
export const test = base.extend<{ policy: undefined }>({
  policy: [
    async ({ context }, use) => {
      const check = await watchPolicy(context);
      await use(undefined);
      check();
    },
    { auto: true },
  ],
});

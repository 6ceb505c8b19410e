/** The demo page with a scripted double in place of an engine: for what needs neither a model nor a GPU. */
import { expect, type Page } from 'playwright/test';
import type { QwenChat } from '../src/ui/qwen-chat.ts';
import { answers, composer, statusLine } from './demo-page.ts';
import { type Script, scriptedEngine } from './scripted-engine.ts';

/** An address at which there is no model: the page then loads none. */
const NO_MODEL = '/?model=/none.gguf';

export async function openScripted(page: Page, ...scripts: Script[]): Promise<void> {
  // Without Web Locks each tab is on its own: it is to have the engine that its test gives it.
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }));
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

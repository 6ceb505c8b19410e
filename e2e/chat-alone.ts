/** The chat element alone on a page, with a scripted double of the engine: nothing here needs a model or a GPU. */
import { expect, type Locator, type Page } from 'playwright/test';
import type { QwenChat } from '../src/ui/qwen-chat.ts';
import { type Script, scriptedEngine } from './scripted-engine.ts';

/** Opens the element with an engine that answers by these scripts, or with none. */
export async function open(page: Page, ...scripts: Script[]): Promise<void> {
  await openAt(page, '/e2e/ui.html', ...scripts);
}

/** The same on another page. */
export async function openAt(page: Page, path: string, ...scripts: Script[]): Promise<void> {
  await page.addInitScript({ content: `window.scriptedEngine = ${scriptedEngine.toString()}` });
  await page.goto(path);
  await page.waitForFunction(() => customElements.get('qwen-chat') !== undefined);
  if (scripts.length === 0) return;
  await page.evaluate((given) => {
    const { scriptedEngine: make } = window as unknown as { scriptedEngine: typeof scriptedEngine };
    (document.querySelector('qwen-chat') as QwenChat).engine = make(...given);
  }, scripts);
  await expect(page.getByText('Qwen3.5-9B is ready', { exact: true })).toBeVisible();
}

export const composer = (page: Page): Locator => page.getByRole('textbox', { name: 'Message' });

export async function ask(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  await composer(page).press('Enter');
}

/** Text in the conversation itself; the live region repeats it for screen readers. */
export const said = (page: Page, text: string): Locator => page.getByRole('log').getByText(text, { exact: true });

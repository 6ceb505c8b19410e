/** The demo page as its visitors see it: steps that several specs take. */
import { expect, type Locator, type Page } from 'playwright/test';
import type { LoadProgress } from '../src/index.ts';

/** One report of progress, and what the page showed of it in the frame after. */
export interface Seen extends LoadProgress {
  shown: string;
  /** The bar's `aria-valuenow`; null while it only shows that something goes on. */
  percent: string | null;
}

declare global {
  var seenProgress: Seen[];
}

/** Records all progress of loading from the next navigation on, a fresh list with each. */
export async function watchProgress(page: Page): Promise<void> {
  await page.addInitScript(() => {
    globalThis.seenProgress = [];
    addEventListener('qwen-load-progress', (event) => {
      const report = { ...(event as CustomEvent).detail, shown: '', percent: null };
      globalThis.seenProgress.push(report);
      requestAnimationFrame(() => {
        const root = document.querySelector('qwen-chat')?.shadowRoot;
        report.shown = root?.querySelector('qwen-load-progress')?.textContent?.replace(/\s+/g, ' ').trim() ?? '';
        report.percent = root?.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow') ?? null;
      });
    });
  });
}

export const progressOf = (page: Page): Promise<Seen[]> => page.evaluate(() => globalThis.seenProgress);

/** @param query of the page: `model` is the address of one */
export async function openDemo(page: Page, query: Readonly<Record<string, string>> = {}): Promise<void> {
  await page.goto(`/?${new URLSearchParams(query)}`);
}

export const statusLine = (page: Page): Locator => page.locator('.status-line');

export const composer = (page: Page): Locator => page.getByRole('textbox', { name: 'Message', exact: true });

export const answers = (page: Page): Locator => page.locator('.message.answer');

/** A model is loaded and can be asked: its name stands in the status line. */
export async function expectReady(page: Page): Promise<void> {
  await expect(statusLine(page).locator('b'), 'the status line names a loaded model').toBeVisible();
  await expect(page.getByRole('alert')).toHaveCount(0);
}

export async function thinkingOff(page: Page): Promise<void> {
  const toggle = page.getByRole('switch', { name: 'Thinking' });
  if ((await toggle.getAttribute('aria-checked')) === 'true') await toggle.click();
}

/** Sends a message, sees its answer grow, and stops it: a random model has no reason to end by itself. */
export async function chatABit(page: Page, text: string): Promise<void> {
  await thinkingOff(page);
  const before = await answers(page).count();
  await composer(page).fill(text);
  await composer(page).press('Enter');
  await expect(page.locator('.bubble').last()).toHaveText(text);
  const answer = answers(page).nth(before);
  const words = answer.locator('qwen-markdown');
  await expect(words, 'the first words').not.toBeEmpty();
  const first = (await words.textContent()) ?? '';
  await expect.poll(async () => (await words.textContent())?.length, 'the answer grows').toBeGreaterThan(first.length);
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(page.getByRole('button', { name: 'Send', exact: true })).toBeVisible();
  await expect(answer.getByRole('button', { name: 'Answer again' })).toBeVisible();
}

/** Opens a panel of the left column. */
export async function openPanel(page: Page, name: string | RegExp): Promise<Locator> {
  await page.locator('.sidebar').getByRole('button', { name }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toBeVisible();
  return dialog;
}

/** Loads the model that ships with the page, by the model panel. */
export async function loadTestModel(page: Page): Promise<void> {
  const dialog = await openPanel(page, 'Choose a model…');
  await dialog.getByRole('button', { name: 'Load', exact: true }).first().click();
  await expect(statusLine(page).locator('b')).toHaveText('Tiny model');
  await expectReady(page);
}

/** What databases take on this device. The page's own files are kept beside them, and are not counted. */
export function databaseBytes(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const { usageDetails } = (await navigator.storage.estimate()) as { usageDetails?: { indexedDB?: number } };
    return usageDetails?.indexedDB ?? 0;
  });
}

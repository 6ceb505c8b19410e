import { createRequire } from 'node:module';
import { expect, type Page } from 'playwright/test';

const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** Rules that are the page's to keep: one that holds nothing but the element has no heading of its own. */
export const OF_PAGES: readonly string[] = ['page-has-heading-one', 'heading-order'];

/** axe finds nothing that bars the way. @param except names of rules that do not count */
export async function expectAccessible(page: Page, except: readonly string[] = []): Promise<void> {
  await page.addScriptTag({ path: axePath });
  const violations = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: typeof import('axe-core') };
    const results = await axe.run(document, { resultTypes: ['violations'] });
    return results.violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html }) => html.slice(0, 200)) }));
  });
  expect(violations.filter(({ id }) => !except.includes(id))).toEqual([]);
}

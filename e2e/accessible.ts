import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, type Page } from 'playwright/test';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Rules that are the page's to keep: one that holds nothing but the element has no heading of its own. */
export const OF_PAGES: readonly string[] = ['page-has-heading-one', 'heading-order'];

/** axe finds nothing that bars the way. @param except names of rules that do not count */
export async function expectAccessible(page: Page, except: readonly string[] = []): Promise<void> {
  // Not as a script tag, which the page's Content-Security-Policy would refuse.
  await page.evaluate(`${axe};undefined`);
  const violations = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: typeof import('axe-core') };
    const results = await axe.run(document, { resultTypes: ['violations'] });
    return results.violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html }) => html.slice(0, 200)) }));
  });
  expect(violations.filter(({ id }) => !except.includes(id))).toEqual([]);
}

/** Where the time of an answer goes, as the page shows it. */
import { expect, test } from 'playwright/test';
import { startTestServer } from '../tools/test-server.ts';
import { expectAccessible } from './accessible.ts';
import { answers, chatABit, expectReady, openDemo, statusLine } from './demo-page.ts';
import { talkativeModel } from './talkative-model.ts';

const PATH = '/talker.gguf';

test('an answer is traced kernel by kernel, and the chat goes on after it', async ({ page }) => {
  const server = await startTestServer({ files: { [PATH]: (await talkativeModel()).bytes } });
  try {
    await openDemo(page, { model: server.url(PATH) });
    await expectReady(page);
    await statusLine(page).click();
    const panel = page.getByRole('region', { name: 'Statistics' });
    await expect(panel.getByRole('table')).toHaveCount(0);
    await panel.getByRole('button', { name: 'Trace one answer' }).click();
    const table = panel.getByRole('table', { name: 'Kernels of one token' });
    await expect(table.getByRole('rowheader', { name: /^matvec/ }).first()).toBeVisible();
    const cells = await table
      .getByRole('row')
      .evaluateAll((rows) =>
        rows.slice(1).map((row) => [...row.children].map((cell) => cell.textContent?.trim() ?? '')),
      );
    const shares = cells.map(([, , , share]) => Number.parseFloat(share));
    expect(shares).toEqual([...shares].sort((a, b) => b - a));
    expect(shares.reduce((a, b) => a + b)).toBeCloseTo(100, 0);
    const runs = cells.reduce((sum, [, count]) => sum + Number(count), 0);
    expect(
      await panel
        .getByRole('img', { name: /^One token/ })
        .locator('rect')
        .count(),
    ).toBe(runs);
    await expect(panel).toContainText(`in ${runs} dispatches`);
    for (const theme of ['light', 'dark']) {
      await page.evaluate((name) => document.documentElement.setAttribute('data-theme', name), theme);
      await expectAccessible(page);
      if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/trace-${theme}.png` });
    }
    await statusLine(page).click();
    await chatABit(page, 'And now?');
    await expect(answers(page)).toHaveCount(1);
  } finally {
    await server.close();
  }
});

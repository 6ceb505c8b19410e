/** Several tabs of the page at once: one has the GPU, the others ask it, and the next takes over. */
import { expect, type Page } from 'playwright/test';
import { startTestServer, type TestServer } from '../tools/test-server.ts';
import { expectAccessible } from './accessible.ts';
import { answers, composer, expectReady, openDemo, statusLine, thinkingOff } from './demo-page.ts';
import { test } from './policy.ts';
import { talkativeModel } from './talkative-model.ts';

const PATH = '/talker.gguf';
const { bytes } = await talkativeModel();

let server: TestServer;

test.beforeEach(async () => {
  server = await startTestServer({ files: { [PATH]: bytes } });
});

test.afterEach(() => server.close());

const viaOther = (page: Page) => page.getByText('The model runs in another tab of this page');

async function askOn(page: Page, text: string): Promise<void> {
  await thinkingOff(page);
  const before = await answers(page).count();
  await composer(page).fill(text);
  await composer(page).press('Enter');
  await expect(answers(page).nth(before).locator('qwen-markdown')).not.toBeEmpty();
}

async function stop(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(page.getByRole('button', { name: 'Send', exact: true })).toBeVisible();
}

test('the second tab asks the first, takes over when that is closed, and takes the GPU when it is told to', async ({
  context,
  page,
}) => {
  await openDemo(page, { model: server.url(PATH) });
  await expectReady(page);
  server.resetCounts();
  const second = await context.newPage();
  await openDemo(second, { model: server.url(PATH) });
  await expect(viaOther(second)).toBeVisible();
  await expect(statusLine(second)).toContainText('in another tab');
  await expectAccessible(second);
  expect(server.count(PATH).requests, 'nothing is loaded twice').toBe(0);

  await askOn(second, 'Do you hear me?');
  await stop(second);
  await expect(answers(second).getByText('Stopped.')).toBeVisible();
  // The first tab's own answers come from the same engine, after one another.
  await askOn(page, 'And you?');
  await stop(page);

  // An answer that is under way when the first tab goes is kept as far as it came, and the model comes back here.
  await askOn(second, 'Tell me everything.');
  await page.close();
  await expect(viaOther(second)).toBeHidden();
  await expectReady(second);
  await expect(answers(second).getByText('Stopped.')).toHaveCount(2);
  expect(server.count(PATH).bodyBytes, 'it comes from this device').toBeLessThanOrEqual(1);
  await askOn(second, 'Are you back?');
  await stop(second);

  // Another model is wanted in a third tab.
  const third = await context.newPage();
  await openDemo(third, { model: server.url('/other.gguf') });
  await expect(third.getByRole('heading', { name: 'runs in another tab' })).toBeVisible();
  await expectAccessible(third);
  await third.getByRole('button', { name: 'Load here instead' }).click();
  await expect(statusLine(third)).toContainText('other.gguf could not be loaded');
  await expect(second.getByRole('heading', { name: 'Another tab loads' })).toBeVisible();
  await second.getByRole('button', { name: 'Load here instead' }).click();
  await expectReady(second);
});

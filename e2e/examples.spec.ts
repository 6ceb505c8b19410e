/** The examples, built as their users build them, with the package by its name. An engine that is scripted answers. */
import { cp, mkdir, rm, symlink } from 'node:fs/promises';
import { resolve } from 'node:path';
import { expect, type Page, test } from 'playwright/test';
import { build } from 'vite';
import { scriptedEngine } from './scripted-engine.ts';

/** A copy that has the package in its `node_modules`, where an install would put it. */
const COPY = resolve('dist/e2e/examples');
const FRAMEWORKS = ['react', 'vue', 'svelte'];

test.beforeAll(async () => {
  await rm(COPY, { recursive: true, force: true });
  await cp('examples', COPY, { recursive: true });
  for (const name of ['html', ...FRAMEWORKS]) {
    await mkdir(`${COPY}/${name}/node_modules`);
    await symlink(resolve('.'), `${COPY}/${name}/node_modules/qwen-webgpu`, 'junction');
  }
  for (const name of FRAMEWORKS) await build({ root: `${COPY}/${name}`, base: './', logLevel: 'error' });
});

/** Gives the first chat an engine that calls the example's tool, and then says what it rolled. */
async function open(page: Page, path: string): Promise<string[]> {
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.goto(`/e2e-built/examples/${path}`);
  await expect(page.getByText('The model is not loaded yet').first()).toBeVisible();
  await page.evaluate(
    ([make, scripts]) => {
      const scripted: typeof scriptedEngine = new Function(`return ${make}`)();
      document.querySelector('qwen-chat')!.engine = scripted(...scripts);
    },
    [scriptedEngine.toString(), [{ call: { roll_die: '{}' } }, { say: 'There it lies.' }]] as const,
  );
  return errors;
}

for (const name of FRAMEWORKS) {
  test(`${name}: a tool goes in as a property, and the answer comes out as an event`, async ({ page }) => {
    const errors = await open(page, `${name}/dist/`);
    await page.getByRole('textbox', { name: 'Message' }).fill('Roll!');
    await page.keyboard.press('Enter');
    await expect(page.locator('output')).toHaveText('There it lies.');
    await page.getByRole('log').getByText('Used roll_die').click();
    await expect(page.getByRole('log')).toContainText(/Result\s*[1-6]/);
    expect(errors).toEqual([]);
  });
}

test('plain HTML: two chats share an engine, each with its own conversation', async ({ page }) => {
  const errors = await open(page, 'html/');
  const chats = page.locator('qwen-chat');
  for (const i of [0, 1]) {
    await chats.nth(i).getByRole('textbox', { name: 'Message' }).fill(`From ${i}`);
    await page.keyboard.press('Enter');
    await expect(chats.nth(i).locator('.bubble')).toHaveText(`From ${i}`);
    await expect(chats.nth(i).getByRole('log').getByText('There it lies.')).toBeVisible();
  }
  await expect(page.locator('output')).toHaveText('There it lies.');
  const [same, kept] = await page.evaluate(async () => {
    const [first, second] = document.querySelectorAll('qwen-chat');
    const same = first.engine === second.engine;
    let disposals = 0;
    first.engine!.dispose = () => {
      disposals += 1;
    };
    second.remove();
    await new Promise((resolve) => setTimeout(resolve));
    return [same, disposals === 0];
  });
  expect(same).toBe(true);
  expect(kept, 'a chat that goes leaves the engine that it was given').toBe(true);
  expect(errors).toEqual([]);
});

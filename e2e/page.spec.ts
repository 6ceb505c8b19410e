/** The page around the chat: its panels, and what it says where models cannot run. What a model answers is tested elsewhere. */
import { expect, type Page } from 'playwright/test';
import { expectAccessible } from './accessible.ts';
import { test } from './policy.ts';

const READY = 'The tiny model is ready';

async function openPanel(page: Page, name: string | RegExp): Promise<void> {
  const menu = page.getByRole('button', { name: 'Menu', exact: true });
  if (await menu.isVisible()) await menu.click();
  await page.locator('.sidebar').getByRole('button', { name }).click();
  await expect(page.getByRole('dialog')).toBeVisible();
}

test('it asks nobody but its own server', async ({ page, baseURL }) => {
  const outside: string[] = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(baseURL ?? '') && !/^(data|blob):/.test(request.url())) outside.push(request.url());
  });
  await page.goto('/');
  await expect(page.getByText(READY)).toBeVisible();
  await openPanel(page, 'Choose a model…');
  expect(outside).toEqual([]);
});

test('the published sizes come with download, verdict and a place for the address', async ({ page }) => {
  await page.goto('/');
  await openPanel(page, 'Choose a model…');
  const dialog = page.getByRole('dialog');
  await expect(dialog.locator('.sizes > li')).toHaveCount(8);
  const largest = dialog.locator('.sizes > li', { hasText: 'Qwen3.5-397B-A17B' });
  // ≈ 220 GB is what its published 4-bit files weigh.
  await expect(largest).toContainText(/about 2[12]\d GB to download/);
  await dialog.getByLabel('Memory the GPU can use').fill('300');
  await expect(largest.locator('.mark')).toHaveText('Fits');
  await dialog.getByLabel('Memory the GPU can use').fill('64');
  await expect(largest.locator('.mark')).toHaveText('Too large');
  await expect(dialog.locator('.sizes > li', { hasText: 'Qwen3.5-27B' }).locator('.mark')).toHaveText('Fits');
  await largest.getByRole('button').click();
  const address = largest.getByRole('textbox', { name: 'Address of a GGUF file' });
  const tower = largest.getByRole('textbox', { name: 'Vision tower' });
  for (const [model, mmproj, wrong] of [
    ['no address', '', address],
    ['https://host/model.gguf', 'no address', tower],
  ] as const) {
    await address.fill(model);
    await tower.fill(mmproj);
    await largest.getByRole('button', { name: 'Load', exact: true }).click();
    await expect(largest.getByRole('alert')).toContainText('This is not an address');
    await expect(wrong).toBeFocused();
    await expect(wrong).toHaveAttribute('aria-invalid', 'true');
  }
});

test('an address is loaded, remembered, and shown in the page’s own; an error says what is wrong', async ({ page }) => {
  await page.goto('/');
  await openPanel(page, 'Choose a model…');
  const dialog = page.getByRole('dialog');
  const missing = new URL('/fixtures/models/missing.gguf', page.url()).href;
  await dialog.getByLabel('Address of a GGUF file', { exact: true }).fill(missing);
  await page.keyboard.press('Enter');
  await expect(dialog).toBeHidden();
  await expect(page.getByRole('alert')).toContainText('The file is not there');
  await expect(page.locator('.status-line')).toContainText('missing.gguf could not be loaded');
  expect(new URL(page.url()).searchParams.get('model')).toBe(missing);
  await openPanel(page, 'Choose a model…');
  await expect(dialog.getByLabel('Address of a GGUF file', { exact: true })).toHaveValue(missing);
  await dialog.getByRole('button', { name: 'Load', exact: true }).first().click();
  await expect(page.getByText(READY)).toBeVisible();
});

test('files are loaded from this device', async ({ page }) => {
  await page.goto('/');
  await openPanel(page, 'Choose a model…');
  await page.getByLabel('Choose files…').setInputFiles('fixtures/models/dense-legacy.gguf');
  await expect(page.getByRole('log').getByText('is ready')).toBeVisible();
  await expect(page.locator('.status-line')).not.toContainText('Tiny model');
});

test('what is stored is listed and can be deleted', async ({ page }) => {
  await page.goto('/');
  await expect(page.getByText(READY)).toBeVisible();
  await openPanel(page, /^Storage/);
  const dialog = page.getByRole('dialog');
  await expect(dialog.locator('li', { hasText: 'tiny.gguf' })).toContainText('7.6 MB');
  await dialog.getByRole('button', { name: 'Delete tiny.gguf', exact: true }).click();
  await dialog.getByRole('button', { name: 'Really delete? Delete tiny.gguf' }).click();
  await expect(dialog).toContainText('Nothing is stored yet');
});

test('without WebGPU the page says what to do', async ({ page }) => {
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'gpu', { value: undefined }));
  await page.goto('/');
  await expect(page.getByRole('heading', { name: 'This browser has no WebGPU' })).toBeVisible();
  await expectAccessible(page);
  await openPanel(page, 'Choose a model…');
  await expect(page.getByRole('dialog').locator('.sizes > li')).toHaveCount(8);
});

test('the chosen colours outlive a reload', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto('/');
  await openPanel(page, 'Settings');
  await page.getByRole('radio', { name: 'Dark' }).check();
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await background();
  await page.reload();
  await openPanel(page, 'Settings');
  await expect(page.getByRole('radio', { name: 'Dark' })).toBeChecked();
  expect(await background()).toBe(dark);
  await page.getByRole('radio', { name: 'Light' }).check();
  expect(await background()).not.toBe(dark);
});

for (const scheme of ['light', 'dark'] as const) {
  for (const [device, viewport] of Object.entries({
    desktop: { width: 1280, height: 800 },
    phone: { width: 360, height: 740 },
  })) {
    test.describe(`${scheme}, ${device}`, () => {
      test.use({ viewport, colorScheme: scheme, contextOptions: { reducedMotion: 'reduce' } });

      test('nothing bars the way and nothing overflows', async ({ page }) => {
        await page.goto('/');
        await expect(page.getByText(READY)).toBeVisible();
        await page.locator('.status-line').click();
        await expectAccessible(page);
        await page.locator('.status-line').click();
        await openPanel(page, 'Choose a model…');
        await page.getByRole('button', { name: 'Qwen3.5-9B: Address…' }).click();
        await page.getByText('How do you know?').click();
        await expectAccessible(page);
        await page.keyboard.press('Escape');
        await openPanel(page, /^Storage/);
        await expectAccessible(page);
        await page.keyboard.press('Escape');
        await openPanel(page, 'Settings');
        await page.getByRole('combobox').selectOption('My own values');
        await expectAccessible(page);
        for (const element of ['html', 'main', 'dialog']) {
          const overflow = await page.locator(element).evaluate((each) => each.scrollWidth - each.clientWidth);
          expect(overflow).toBeLessThanOrEqual(0);
        }
      });
    });
  }
}

/** What the reader sets: kept, sent with requests, refused where it is out of range, and set back. */
import { expect, type Page } from 'playwright/test';
import type { QwenChat } from '../src/ui/qwen-chat.ts';
import { expectAccessible } from './accessible.ts';
import { answers, composer, openPanel } from './demo-page.ts';
import { test } from './policy.ts';
import { askScripted, giveScripts, openScripted } from './scripted-page.ts';

/** Requests of the chat from now on. */
async function recordRequests(page: Page): Promise<() => Promise<unknown[]>> {
  await page.evaluate(() => {
    const { completions } = (document.querySelector('qwen-chat') as QwenChat).engine!.chat;
    const create = completions.create.bind(completions);
    const requests: unknown[] = [];
    Object.assign(globalThis, { requests });
    Object.assign(completions, {
      create: (...call: Parameters<typeof create>) => {
        requests.push(structuredClone(call[0]));
        return create(...call);
      },
    });
  });
  return () => page.evaluate(() => (globalThis as unknown as { requests: unknown[] }).requests);
}

test('settings go into requests, outlive a reload, and can be set back', async ({ page }) => {
  await openScripted(page, { say: 'Yes.' });
  let requests = await recordRequests(page);
  await askScripted(page, 'As it comes?');
  expect((await requests())[0]).not.toHaveProperty('temperature');

  const dialog = await openPanel(page, 'Settings');
  await expectAccessible(page);
  const choice = dialog.getByRole('combobox', { name: 'How the next word is chosen' });
  await expect(dialog.getByText('The values that the model’s makers recommend')).toBeVisible();
  await choice.selectOption('Model card, without thinking');
  // One's own begin as what was chosen before.
  await choice.selectOption('My own values');
  await expect(dialog.getByLabel('Presence penalty')).toHaveValue('1.5');
  await dialog.getByLabel('Temperature').fill('3');
  await dialog.getByLabel('Temperature').press('Tab');
  await expect(dialog.getByRole('alert')).toContainText('It takes a number from 0 to 2');
  await expectAccessible(page);
  await dialog.getByLabel('Temperature').fill('0.3');
  await dialog.getByLabel('Longest answer, in tokens').fill('77');
  await dialog.getByLabel('System prompt').fill('Answer briefly.');
  await dialog.getByLabel('Context, in tokens').fill('1024');
  await dialog.getByRole('checkbox', { name: 'Calculator and clock' }).check();
  await dialog.getByRole('checkbox', { name: 'Think before answering' }).uncheck();
  await expect(dialog.getByRole('alert')).toHaveCount(0);
  await page.keyboard.press('Escape');
  await expect(page.getByRole('switch', { name: 'Thinking' })).toHaveAttribute('aria-checked', 'false');

  await page.reload();
  await giveScripts(page, { say: 'Yes.' });
  requests = await recordRequests(page);
  await askScripted(page, 'As I want it?');
  expect((await requests())[0]).toMatchObject({
    temperature: 0.3,
    top_p: 0.8,
    top_k: 20,
    presence_penalty: 1.5,
    max_tokens: 77,
    chat_template_kwargs: { enable_thinking: false },
    tools: [{ function: { name: 'calculate' } }, { function: { name: 'now' } }],
    messages: [{ role: 'system', content: 'Answer briefly.' }, {}, {}, {}],
  });
  expect(await page.evaluate(() => document.querySelector('qwen-chat')!.contextLength)).toBe(1024);

  await openPanel(page, 'Settings');
  await dialog.getByRole('button', { name: 'Back to the defaults' }).click();
  await dialog.getByRole('button', { name: 'Really reset?' }).click();
  await expect(dialog.getByLabel('System prompt')).toHaveValue('');
  await expect(choice).toHaveValue('card');
  await page.keyboard.press('Escape');
  await askScripted(page, 'And now?');
  const last = (await requests())[1];
  expect(last).not.toHaveProperty('temperature');
  expect(last).toMatchObject({ chat_template_kwargs: { enable_thinking: true } });
});

test('the model reads a file that was picked, and no other', async ({ page }) => {
  const call = (name: string) => ({ call: { read_file: JSON.stringify({ name }) } });
  await openScripted(page, call('notes.txt'), call('secrets.txt'), { say: 'Milk and bread.' });
  const requests = await recordRequests(page);
  const dialog = await openPanel(page, 'Settings');
  const text = 'Milk\nBread';
  await dialog.getByLabel('Add files…').setInputFiles([
    { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from(text) },
    { name: 'other.txt', mimeType: 'text/plain', buffer: Buffer.from('x') },
  ]);
  await dialog.getByRole('button', { name: 'Remove other.txt' }).click();
  await expect(dialog.getByRole('list', { name: 'Files that the model may read' }).getByRole('listitem')).toHaveText(
    /notes\.txt/,
  );
  await expectAccessible(page);
  await page.keyboard.press('Escape');
  await composer(page).fill('What am I to buy?');
  await composer(page).press('Enter');
  await expect(answers(page).last()).toContainText('Milk and bread.');
  const [first, second, third] = await requests();
  expect(first).toMatchObject({ tools: [{ function: { name: 'read_file' } }] });
  expect((second as { messages: unknown[] }).messages.at(-1)).toMatchObject({ role: 'tool', content: text });
  expect((third as { messages: unknown[] }).messages.at(-1)).toMatchObject({
    role: 'tool',
    content: 'Error: There is no file secrets.txt. There are: notes.txt.',
  });
});

test('by keyboard alone: another send key, and what it does', async ({ page }) => {
  await openScripted(page, { say: 'Yes.' });
  await page.getByRole('button', { name: 'Settings' }).focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  const radio = dialog.getByRole('radio', { name: 'Enter', exact: true });
  for (let i = 0; i < 20 && !(await radio.evaluate((each) => each === document.activeElement)); i++) {
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('ArrowRight');
  await expect(dialog.getByRole('radio', { name: 'Ctrl + Enter' })).toBeChecked();
  await page.keyboard.press('Escape');
  await composer(page).focus();
  await page.keyboard.type('One');
  await page.keyboard.press('Enter');
  await page.keyboard.type('Two');
  await expect(composer(page)).toHaveValue('One\nTwo');
  await page.keyboard.press('Control+Enter');
  await expect(page.locator('.bubble')).toHaveText('One\nTwo');
  await expect(answers(page)).toHaveText(/Yes\./);
});

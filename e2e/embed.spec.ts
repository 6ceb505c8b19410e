import { expect, test } from 'playwright/test';
import type { QwenChat } from '../src/ui/qwen-chat.ts';

/** Short, so that SwiftShader is soon done; the model is random and may not want to stop by itself. */
const PIECES_TO_WAIT_FOR = 3;

for (const [name, path] of [
  ['its own origin', '/e2e/embed.html'],
  ['another origin', '/e2e/embed-from-elsewhere.html'],
]) {
  test(`one tag puts a working chat on a page, with the library from ${name}`, async ({ page }) => {
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(path);

    const answer = await page.evaluate(async (pieces) => {
      const chat = document.querySelector('qwen-chat') as QwenChat;
      await new Promise<void>((resolve, reject) => {
        chat.addEventListener('qwen-ready', () => resolve());
        chat.addEventListener('qwen-error', (event) => reject((event as CustomEvent).detail.error));
        if (chat.engine !== undefined) resolve();
      });
      const stream = await chat.engine!.chat.completions.create({
        messages: [{ role: 'user', content: 'Hello' }],
        stream: true,
        stream_options: { include_usage: true },
        chat_template_kwargs: { enable_thinking: false },
      });
      let text = '';
      let seen = 0;
      for await (const { choices } of stream) {
        text += choices[0]?.delta.content ?? '';
        if (text !== '' && ++seen >= pieces) break;
      }
      return text;
    }, PIECES_TO_WAIT_FOR);

    expect(answer).not.toBe('');
    expect(errors).toEqual([]);
  });
}

test('a model that has too little context is loaded again with twice of it, and answers', async ({ page }) => {
  await page.goto('/e2e/ui.html');
  await page.waitForFunction(() => customElements.get('qwen-chat') !== undefined);
  await page.evaluate(() => {
    const chat = document.querySelector('qwen-chat') as QwenChat;
    Object.assign(chat, { store: 'none', contextLength: 64, thinking: false, model: '/fixtures/models/dense-k.gguf' });
  });
  await page.getByRole('textbox', { name: 'Message' }).fill('a '.repeat(60));
  const send = page.getByRole('button', { name: 'Send' });
  await expect(send, 'the model is there').toBeEnabled();
  await send.click();
  await page.getByRole('alert').getByRole('button', { name: 'Load again with a context of 128' }).click();
  await expect(page.locator('.answer').locator('qwen-markdown .block, .note').first()).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('alert')).toHaveCount(0);
  const context = await page.evaluate(
    () => (document.querySelector('qwen-chat') as QwenChat).engine?.info.contextLength,
  );
  expect(context).toBe(128);
});

/** The chat element alone, with a scripted double in place of the engine: nothing here needs a model or a GPU. */
import { expect, type Page, test } from 'playwright/test';
import type { QwenChat, QwenChatEvents } from '../src/ui/qwen-chat.ts';
import { expectAccessible, OF_PAGES } from './accessible.ts';
import { ask, composer, open, said } from './chat-alone.ts';

const full = { error: { code: 'context-overflow', message: '40,000 tokens do not fit into 32,768.' } };

const answer = [
  'A **hash table** keeps pairs. See [more](https://more.example/).\n\n## Steps\n\n1. hash\n2. look\n\n',
  '```python\ndef put(key, value):\n    buckets[hash(key) % len(buckets)].append((key, value))  # a line that is too long for a phone\n```\n\n',
  '| Operation | Average |\n|---|--:|\n| lookup | O(1) |\n\nDone.',
].join('');

test('an answer streams as Markdown, with thinking folded above it', async ({ page }) => {
  await open(page, { think: 'First **think**.', say: answer });
  await ask(page, 'What is a hash table?');
  await expect(said(page, 'Done.')).toBeVisible();
  const message = page.getByRole('article', { name: 'Answer' });
  await expect(message.getByRole('heading', { name: 'Steps' })).toBeVisible();
  await expect(message.getByRole('listitem')).toHaveCount(2);
  await expect(message.getByRole('cell', { name: 'lookup' })).toBeVisible();
  await expect(message.locator('.code-language')).toHaveText('python');
  await expect(message.getByRole('link', { name: 'more' })).toHaveAttribute('target', '_blank');
  const thinking = message.getByText('Thought for');
  await expect(message.locator('strong', { hasText: 'think' })).toBeHidden();
  await thinking.click();
  await expect(message.locator('strong', { hasText: 'think' })).toBeVisible();
  await expect(composer(page)).toHaveValue('');
});

test('the request carries the conversation, and thinking as it is switched', async ({ page }) => {
  await open(page, { say: 'Yes.' });
  await page.evaluate(() => {
    const chat = document.querySelector('qwen-chat') as QwenChat;
    const completions = chat.engine?.chat.completions;
    if (!completions) return;
    const create = completions.create.bind(completions);
    const requests: unknown[] = [];
    Object.assign(window, { requests });
    Object.assign(completions, {
      create: (...call: Parameters<typeof create>) => {
        requests.push(call[0]);
        return create(...call);
      },
    });
  });
  await ask(page, 'One?');
  await expect(said(page, 'Yes.')).toHaveCount(1);
  await page.getByRole('switch', { name: 'Thinking' }).click();
  await ask(page, 'Two?');
  await expect(page.locator('qwen-markdown', { hasText: 'Yes.' })).toHaveCount(2);
  const requests = await page.evaluate(() => (window as unknown as { requests: unknown[] }).requests);
  expect(requests).toMatchObject([
    { messages: [{ role: 'user', content: 'One?' }], chat_template_kwargs: { enable_thinking: true } },
    {
      messages: [
        { role: 'user', content: 'One?' },
        { role: 'assistant', content: 'Yes.' },
        { role: 'user', content: 'Two?' },
      ],
      chat_template_kwargs: { enable_thinking: false },
    },
  ]);
});

test('an answer that attacks the page does nothing, and nothing is fetched', async ({ page }) => {
  const attacks = [
    '<img src="https://evil.example/a.png" onerror="window.attacked = 1">',
    '<script>window.attacked = 2</script>',
    '[click me](javascript:window.attacked=3)',
    '![pixel](https://evil.example/pixel.png)',
    '<a href="javascript:window.attacked=4">raw</a>',
    '<iframe src="https://evil.example/"></iframe><style>@import "https://evil.example/x.css";</style>',
    '```"><img src=x onerror=window.attacked=5>\ncode\n```',
  ];
  await open(page, { think: attacks.join('\n\n'), say: `${attacks.join('\n\n')}\n\nThe end.` });
  const outside: string[] = [];
  page.on('request', (request) => outside.push(request.url()));
  await ask(page, 'Attack me <img src=x onerror="window.attacked = 6">');
  await expect(said(page, 'The end.')).toBeVisible();
  await page.getByText('Thought for').click();
  await expect(page.locator('.thinking-text')).toContainText('click me');
  await page.getByText('click me').last().click();
  expect(await page.evaluate(() => (window as { attacked?: number }).attacked)).toBeUndefined();
  expect(outside).toEqual([]);
  await expect(page.locator('.log').locator('img, script, iframe, style')).toHaveCount(0);
});

test('everything can be done by keyboard', async ({ page }) => {
  await open(page, { say: 'First answer.' }, { say: 'Second answer.' });
  await page.keyboard.press('Tab'); // the conversation, which scrolls
  await page.keyboard.press('Tab');
  await expect(composer(page)).toBeFocused();
  await page.keyboard.type('One');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('two');
  await page.keyboard.press('Enter');
  await expect(said(page, 'First answer.')).toBeVisible();
  await expect(page.locator('.bubble')).toHaveText('One\ntwo');
  // ↑ takes the last message up again, Esc lets go of it
  await page.keyboard.press('ArrowUp');
  await expect(composer(page)).toHaveValue('One\ntwo');
  await page.keyboard.press('Escape');
  await expect(composer(page)).toHaveValue('');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.type('Three');
  await page.keyboard.press('Enter');
  await expect(said(page, 'Second answer.')).toBeVisible();
  await expect(page.locator('.bubble')).toHaveText(['Three']);
  await expect(said(page, 'First answer.')).toHaveCount(0);
  // and the answer's buttons, and the way back to the first branch, are reached with Tab
  for (const name of ['Remove this message', 'Figures of this answer', 'Answer again']) {
    await page.keyboard.press('Shift+Tab');
    await expect(page.getByRole('button', { name }).last()).toBeFocused();
  }
  await page.getByRole('button', { name: 'Previous branch' }).focus();
  await page.keyboard.press('Enter');
  await expect(said(page, 'First answer.')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Previous branch' })).toBeFocused();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await expect(said(page, 'Second answer.')).toBeVisible();
});

test('Enter that ends an input method’s word does not send', async ({ page }) => {
  await open(page, { say: 'No.' });
  await composer(page).fill('にほん');
  await composer(page).dispatchEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true });
  await expect(composer(page)).toHaveValue('にほん');
  await expect(page.locator('.bubble')).toHaveCount(0);
});

test('Esc and the button stop an answer, and what came of it stays', async ({ page }) => {
  await open(page, { say: 'It begins', hang: true });
  await ask(page, 'Go on');
  await expect(said(page, 'It begins')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(said(page, 'Stopped.')).toBeVisible();
  await page.getByRole('button', { name: 'Answer again' }).click();
  await expect(page.getByRole('button', { name: 'Stop' })).toBeVisible();
  await expect(said(page, 'It begins')).toBeVisible();
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(page.getByRole('button', { name: 'Send' })).toBeVisible();
  await expect(said(page, 'It begins')).toBeVisible();
});

test('an error stands where it happened and can be tried again', async ({ page }) => {
  const error = {
    code: 'http-error',
    message: 'The server answered 503.',
    file: 'https://host/model.gguf',
    status: 503,
  };
  await open(page, { say: 'Half an', error }, { say: 'A whole answer.' });
  await ask(page, 'Well?');
  const box = page.getByRole('alert');
  await expect(box).toContainText('The server answered 503.');
  await box.getByText('Details').click();
  await expect(box).toContainText('https://host/model.gguf');
  await expect(said(page, 'Half an')).toBeVisible();
  await box.getByRole('button', { name: 'Try again' }).click();
  await expect(said(page, 'A whole answer.')).toBeVisible();
  await expect(page.getByRole('alert')).toHaveCount(0);
  await expect(page.locator('.bubble')).toHaveText(['Well?']);
});

test('a conversation that outgrows the context says so and offers a way on', async ({ page }) => {
  await open(page, full);
  await ask(page, 'A very long story');
  await expect(page.getByRole('alert')).toContainText('no longer fits');
  await page.getByRole('alert').getByRole('button', { name: 'New chat' }).click();
  await expect(page.locator('.bubble')).toHaveCount(0);
});

test('in a full context the earliest messages are left out when the reader says so, and shown as such', async ({
  page,
}) => {
  await open(page, { say: 'First answer.' }, full, { say: 'Second answer.' });
  await ask(page, 'One');
  await expect(said(page, 'First answer.')).toBeVisible();
  await ask(page, 'Two');
  await page.getByRole('alert').getByRole('button', { name: 'Leave out the earliest messages' }).click();
  await expect(said(page, 'Second answer.')).toBeVisible();
  await expect(page.getByRole('note')).toContainText('not told what stands above this line');
  await expect(page.locator('qwen-message[forgotten]')).toHaveCount(2);
  await page.getByRole('button', { name: 'Tell it everything again' }).click();
  await expect(page.getByRole('note')).toHaveCount(0);
});

test('branches, a cut answer, removal: done on the page, told by events, and restored elsewhere', async ({ page }) => {
  await open(page, { think: 'Hm.', say: 'First answer.' }, { say: 'It is', finish: 'length' }, { say: ' done.' });
  await page.evaluate(() => {
    const changes: string[] = [];
    Object.assign(window, { changes });
    document.addEventListener('qwen-conversation-change', (event) => {
      const { change } = (event as CustomEvent<QwenChatEvents['qwen-conversation-change']>).detail;
      if (change !== 'growing') changes.push(change);
    });
  });
  await ask(page, 'One');
  await page.getByRole('button', { name: 'Answer again' }).click();
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(said(page, 'It is done.')).toBeVisible();
  await page.getByRole('button', { name: 'Edit message' }).click();
  await expect(composer(page)).toHaveValue('One');
  await composer(page).fill('Two');
  await composer(page).press('Enter');
  await expect(said(page, 'done.')).toBeVisible();
  await page.getByRole('button', { name: 'Previous branch' }).click();
  await expect(said(page, 'It is done.')).toBeVisible();
  await page.getByRole('button', { name: 'Remove this message' }).last().click();
  await expect(said(page, 'First answer.')).toBeVisible();
  await page.getByRole('button', { name: 'Undo' }).click();
  await expect(said(page, 'It is done.')).toBeVisible();
  const restored = await page.evaluate(() => {
    const first = document.querySelector('qwen-chat') as QwenChat;
    const second = document.createElement('qwen-chat');
    second.conversation = structuredClone(first.conversation);
    first.replaceWith(second);
    return {
      same: JSON.stringify(second.conversation) === JSON.stringify(first.conversation),
      changes: window.changes,
    };
  });
  expect(restored.same).toBe(true);
  const told = ['message', 'answer', 'answer', 'answer', 'message', 'answer', 'branch', 'remove', 'remove'];
  expect(restored.changes).toEqual(told);
  await expect(said(page, 'It is done.')).toBeVisible();
  await expect(page.getByRole('img', { name: 'Branch 2 of 2' })).toBeVisible();
  await expect(page.getByRole('img', { name: 'Branch 1 of 2' })).toBeVisible();
});

declare global {
  interface Window {
    changes: string[];
  }
}

test('the reader who scrolled up stays there; the one at the end follows', async ({ page }) => {
  const lines = Array.from({ length: 120 }, (_, i) => `Line ${i}.`).join('\n\n');
  await open(page, { say: lines, delayMs: 15 });
  const scroll = () =>
    page
      .locator('.log')
      .evaluate((log) => ({ top: log.scrollTop, left: log.scrollHeight - log.clientHeight - log.scrollTop }));
  await ask(page, 'Count');
  await expect(said(page, 'Line 40.')).toBeAttached();
  await expect.poll(async () => (await scroll()).left).toBeLessThan(40);
  await page.locator('.log').hover();
  await page.mouse.wheel(0, -400);
  await expect(page.getByRole('button', { name: 'Jump to the end' })).toBeVisible();
  const { top } = await scroll();
  await expect(said(page, 'Line 119.')).toBeAttached();
  expect((await scroll()).top).toBe(top);
  await page.getByRole('button', { name: 'Jump to the end' }).click();
  await expect.poll(async () => (await scroll()).left).toBeLessThan(2);
});

test('whole sentences are announced, not tokens', async ({ page }) => {
  await open(page, { say: 'One sentence. And another one!' });
  await ask(page, 'Speak');
  const spoken = page.getByRole('status').locator('p');
  await expect(spoken.filter({ hasText: 'Answer finished.' })).toHaveCount(1);
  const texts = await spoken.allTextContents();
  expect(texts.join(' ')).toContain('One sentence. And another one! Answer finished.');
  for (const text of texts) expect(text).toMatch(/[.!]$/);
});

test('copying gives Markdown', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await open(page, { say: answer });
  await ask(page, 'What is a hash table?');
  await page.getByRole('button', { name: 'Copy as Markdown' }).click();
  await expect(page.getByRole('button', { name: 'Copied' })).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(answer);
  await page.getByRole('button', { name: 'Copy code' }).click();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toMatch(/^def put/);
});

test('statistics are closed until asked for', async ({ page }) => {
  await open(page, { say: 'Yes.' });
  await ask(page, 'Well?');
  await expect(page.getByText('21.4 tok/s')).toHaveCount(0);
  await page.getByRole('button', { name: 'Statistics' }).click();
  await expect(page.getByText('21.4 tok/s')).toBeVisible();
  await expect(page.getByText('214 tokens')).toBeVisible();
});

test('messages can be read and given, and events tell what happens', async ({ page }) => {
  await open(page, { think: 'Hm.', say: 'Yes.' });
  const messages = await page.evaluate(async () => {
    const chat = document.querySelector('qwen-chat') as QwenChat;
    chat.messages = [
      { role: 'user', content: 'Earlier?' },
      { role: 'assistant', content: 'Indeed.' },
    ];
    const heard: unknown[] = [];
    document.addEventListener('qwen-message', (event) => heard.push((event as CustomEvent).detail.message));
    await chat.send('Now?');
    return { heard, all: chat.messages };
  });
  expect(messages.heard).toEqual([
    { role: 'user', content: 'Now?' },
    { role: 'assistant', content: 'Yes.', reasoning_content: 'Hm.' },
  ]);
  expect(messages.all).toHaveLength(4);
  await expect(said(page, 'Indeed.')).toBeVisible();
});

test('two elements may share an engine, and neither unloads it', async ({ page }) => {
  await open(page, { say: 'Yes.' });
  const disposed = await page.evaluate(async () => {
    const first = document.querySelector('qwen-chat') as QwenChat;
    const second = document.createElement('qwen-chat');
    let count = 0;
    if (first.engine) first.engine.dispose = () => void count++;
    second.engine = first.engine;
    document.body.append(second);
    await second.updateComplete;
    await second.send('Hello?');
    second.remove();
    first.remove();
    await new Promise((resolve) => setTimeout(resolve, 50));
    return { count, said: second.messages.length };
  });
  expect(disposed).toEqual({ count: 0, said: 2 });
});

const states: Record<string, (page: Page) => Promise<void>> = {
  'without a model': (page) => open(page),
  'before the first message': (page) => open(page, { say: 'Yes.' }),
  'with an answer': async (page) => {
    await open(page, { think: 'First think.', say: answer });
    await ask(page, 'What is a hash table?');
    await expect(page.getByRole('button', { name: 'Answer again' })).toBeVisible();
    await page.getByText('Thought for').click();
    await page.getByRole('button', { name: 'Statistics' }).click();
  },
  'with formulas and a preview': async (page) => {
    await open(page, {
      say: 'So $x$ is\n\n$$\n\\frac{-b \\pm \\sqrt{b^2-4ac}}{2a} + \\frac{-b \\pm \\sqrt{b^2-4ac}}{2a}\n$$\n\n- [x] done\n\n```html\n<h1>Hi</h1>\n```',
    });
    await ask(page, 'Show me');
    await page.getByRole('button', { name: 'Figures of this answer' }).click();
    await page.getByRole('button', { name: 'Preview', exact: true }).click();
    await expect(page.locator('math[display=block]')).toBeVisible();
    await expect(page.locator('qwen-code-preview iframe')).toBeVisible();
  },
  'with branches, in a full context': async (page) => {
    await open(
      page,
      { say: 'One.' },
      { say: 'Cut', finish: 'length' },
      full,
      { say: 'Three.' },
      { say: 'Four', finish: 'length' },
      full,
    );
    await ask(page, 'First');
    await page.getByRole('button', { name: 'Answer again' }).click();
    await expect(page.getByRole('button', { name: 'Continue' })).toBeVisible();
    await ask(page, 'Second');
    await page.getByRole('button', { name: 'Leave out the earliest messages' }).click();
    await expect(said(page, 'Three.')).toBeVisible();
    await page.getByRole('button', { name: 'Answer again' }).last().click();
    await expect(page.getByRole('button', { name: 'Continue' })).toBeVisible();
    await ask(page, 'Third');
    await expect(page.getByRole('alert')).toBeVisible();
    await page.getByRole('button', { name: 'Edit message' }).first().click();
    await page.getByRole('button', { name: 'Remove this message' }).last().click();
    await expect(page.getByRole('button', { name: 'Undo' })).toBeVisible();
    await page.keyboard.press('ArrowUp');
  },
  'while answering': async (page) => {
    await open(page, { say: 'It begins', hang: true });
    await ask(page, 'Go on');
    await expect(said(page, 'It begins')).toBeVisible();
  },
  'with tools': async (page) => {
    await open(page, { say: 'I add.', call: { add: '{"a": 1, "b": 2}', break: '{}' } }, { say: 'It is 3.' });
    await giveTools(page);
    await ask(page, 'What is 1 and 2?');
    await expect(said(page, 'It is 3.')).toBeVisible();
    await call(page, 'Used add').click();
    await call(page, 'break failed').click();
  },
  'with an error': async (page) => {
    await open(page, { error: { code: 'device-lost', message: 'The GPU went away.' } });
    await ask(page, 'Well?');
    await page.getByRole('alert').getByText('Details').click();
  },
};

/** Gives the element an adder, a tool that throws, and one that never ends. */
async function giveTools(page: Page, maxToolSteps = 8): Promise<void> {
  await page.evaluate((steps) => {
    const chat = document.querySelector('qwen-chat') as QwenChat;
    chat.maxToolSteps = steps;
    chat.tools = [
      { name: 'add', run: ({ a, b }) => ({ sum: Number(a) + Number(b) }) },
      { name: 'break', run: () => Promise.reject(new Error('It is <b>broken</b>.')) },
      { name: 'wait', run: () => new Promise(() => {}) },
    ];
  }, maxToolSteps);
}

const call = (page: Page, text: string) => page.getByRole('log').locator('summary', { hasText: text });

test('tools run, their results and failures are shown, and the answer goes on', async ({ page }) => {
  await open(
    page,
    { think: 'Add.', say: 'I add them.', call: { add: '{"a": 1, "b": 2}', break: '{"x": "<img src=x>"}' } },
    { call: { fly: '{}' } },
    { say: 'It is 3.' },
  );
  await giveTools(page);
  await ask(page, 'What is 1 and 2?');
  await expect(said(page, 'It is 3.')).toBeVisible();
  await expect(said(page, 'I add them.')).toBeVisible();
  await call(page, 'Used add').click();
  await expect(page.locator('.tool-text pre')).toHaveText([/"a": 1/, /"sum": 3/]);
  await call(page, 'Used add').click();
  await call(page, 'break failed').click();
  await expect(page.locator('.tool-text pre')).toHaveText([/<img src=x>/, 'Error: It is <b>broken</b>.']);
  await expect(call(page, 'fly failed')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Answer again' })).toHaveCount(1);
  const roles = await page.evaluate(() =>
    (document.querySelector('qwen-chat') as QwenChat).messages.map(({ role }) => role),
  );
  expect(roles).toEqual(['user', 'assistant', 'tool', 'tool', 'assistant', 'tool', 'assistant']);
  await page.getByRole('button', { name: 'Answer again' }).click();
  await expect(call(page, 'add')).toHaveCount(0);
  await expect(said(page, 'It is 3.')).toBeVisible();
});

test('a tool that does not end can be stopped', async ({ page }) => {
  await open(page, { call: { wait: '{}' } }, { say: 'Next.' });
  await giveTools(page);
  await ask(page, 'Wait');
  await expect(call(page, 'Running wait…')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(call(page, 'wait was not run')).toBeVisible();
  await expect(said(page, 'Stopped.')).toBeVisible();
  await ask(page, 'And now?');
  await expect(said(page, 'Next.')).toBeVisible();
});

test('tools in a row end at the limit', async ({ page }) => {
  await open(page, { call: { add: '{"a": 1, "b": 2}' } });
  await giveTools(page, 2);
  await ask(page, 'On and on');
  await expect(said(page, 'Stopped here: the model used tools as many times in a row as it may.')).toBeVisible();
  await expect(call(page, 'Used add')).toHaveCount(2);
  await expect(call(page, 'add was not run')).toHaveCount(1);
});

for (const scheme of ['light', 'dark'] as const) {
  for (const [device, viewport] of Object.entries({
    desktop: { width: 1280, height: 800 },
    phone: { width: 390, height: 780 },
    'narrow box': { width: 320, height: 560 },
  })) {
    test.describe(`${scheme}, ${device}`, () => {
      test.use({ viewport, colorScheme: scheme, contextOptions: { reducedMotion: 'reduce' } });

      for (const [name, enter] of Object.entries(states)) {
        test(`${name}, nothing bars the way and nothing overflows`, async ({ page }) => {
          await enter(page);
          await expectAccessible(page, OF_PAGES);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          expect(overflow).toBeLessThanOrEqual(0);
        });
      }
    });
  }
}

/** Attempts to act on the page, in what a model answers and in what a reader writes, opens or names. */
import { expect } from 'playwright/test';
import { picture } from './attach.ts';
import { answers, composer } from './demo-page.ts';
import { test } from './policy.ts';
import { askScripted, openScripted } from './scripted-page.ts';

const ACT = 'top.attacked=true';

const attempts = [
  `<script>${ACT}</script>`,
  `<img src=x onerror="${ACT}">`,
  `<svg onload="${ACT}"><script>${ACT}</script><animate onbegin="${ACT}" attributeName=x></svg>`,
  `<svg><a xlink:href="javascript:${ACT}"><text y=20>svg link</text></a></svg>`,
  `<math><mi xlink:href="javascript:${ACT}">math link</mi><annotation-xml encoding="text/html"><img src=x onerror="${ACT}"></annotation-xml></math>`,
  `$\\href{javascript:${ACT}}{maths}$ $$\\htmlData{x=y}{<img src=x onerror=${ACT}>}$$`,
  `<math><mtext><table><mglyph><style><img src=x onerror="${ACT}">`,
  `[link](javascript:${ACT}) [link](JaVaScRiPt&colon;${ACT}) <javascript:${ACT}>`,
  `[data](data:text/html,<script>${ACT}</script>)`,
  `<style>@import 'https://tracker.example/x.css'; body { display: none }</style>`,
  `<p style="position:fixed;inset:0;background:url(https://tracker.example/x.png)">over everything</p>`,
  `<link rel=stylesheet href="https://tracker.example/x.css"><base href="https://evil.example/">`,
  `<iframe srcdoc="<script>${ACT}</script>"></iframe><object data="data:text/html,x"></object>`,
  `<form action="https://evil.example"><input name=q autofocus onfocus="${ACT}"></form>`,
  `<details open ontoggle="${ACT}"><summary>x</summary></details>`,
  `<meta http-equiv=refresh content="0;url=https://evil.example/">`,
  `![pixel](https://tracker.example/pixel.png) ![x](x" onerror="${ACT})`,
  '```html\n<script>top.attacked = true</script>\n```',
  `\`\`\`"><img src=x onerror=${ACT}>\ncode\n\`\`\``,
];
const all = attempts.join('\n\n');

test('nothing of it does anything', async ({ page }) => {
  const outside: string[] = [];
  page.on('request', (request) => {
    if (/^https?:/.test(request.url()) && !/^http:\/\/127\.0\.0\.1:/.test(request.url())) outside.push(request.url());
  });
  let dialogs = 0;
  page.on('dialog', (dialog) => {
    dialogs++;
    void dialog.dismiss();
  });
  await openScripted(
    page,
    { sees: true, think: all, say: all, delayMs: 0 },
    { say: 'Using.', call: { [`<img src=x onerror=${ACT}>`]: JSON.stringify({ a: all }) }, delayMs: 0 },
    { say: all, delayMs: 0 },
  );
  await page.locator('qwen-composer input.files').setInputFiles({
    ...(await picture(page, { width: 32, height: 32 })),
    name: `"><img src=x onerror=${ACT}>.png`,
  });
  await expect(page.locator('.chip qwen-thumbnail img')).toBeVisible();
  await askScripted(page, `${attempts[1]} ${all}`);
  await page.getByText(/^Thought/).click();
  await composer(page).fill('And tools?');
  await composer(page).press('Enter');
  await expect(answers(page)).toHaveCount(3);
  await expect(answers(page).last().getByRole('button', { name: 'Copy as Markdown' })).toBeVisible();
  // As a title, in the list of conversations, and as the name of an opened file.
  await expect(page.getByRole('navigation', { name: 'Conversations' }).locator('li')).toContainText('<img src=x');
  await page.reload();
  await expect(answers(page)).toHaveCount(3);
  await page.getByText(/^Thought/).click();

  const found = await page.evaluate(() => {
    const roots: (Document | ShadowRoot)[] = [document];
    for (const { shadowRoot } of document.querySelectorAll('*')) if (shadowRoot) roots.push(shadowRoot);
    const elements = roots.flatMap((root) => [...root.querySelectorAll('*')]);
    return {
      attacked: (globalThis as { attacked?: boolean }).attacked,
      handlers: elements.filter((each) => each.getAttributeNames().some((name) => name.startsWith('on'))).length,
      addresses: elements
        .map((each) => each.getAttribute('href') ?? each.getAttribute('xlink:href') ?? each.getAttribute('src') ?? '')
        .filter((address) => /^\s*javascript:|^data:text|evil\.example|tracker\.example.*css/i.test(address)),
      active: elements.filter(
        (each) => /^(iframe|object|embed|base|form|meta)$/i.test(each.tagName) && each.getRootNode() !== document,
      ).length,
      visible: getComputedStyle(document.body).display,
    };
  });
  expect(found).toEqual({ attacked: undefined, handlers: 0, addresses: [], active: 0, visible: 'block' });
  expect(outside, 'requests that something of it made').toEqual([]);
  expect(dialogs).toBe(0);
  expect(new URL(page.url()).hostname).toBe('127.0.0.1');
});
